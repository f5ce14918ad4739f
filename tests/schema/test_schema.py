"""schema/ says what SPEC.md says: examples fit, what is ruled out does not, and asyncapi.yaml is AsyncAPI."""

import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "schema").glob("*.json")
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
SPEC = (ROOT / "SPEC.md").read_text(encoding="utf-8")
TOKEN = "0123456789abcdef" * 2


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


def kind_of(sent_by_client: bool, message: dict[str, Any]) -> str:
    if sent_by_client:
        return f"{message['type']}.json"
    return "reply.json" if "status" in message else "delivery.json"


def conversation_lines() -> Iterator[tuple[int, bool, Any]]:
    """Every message of SPEC.md's conversations: its line, whether a client sent it, and what it is."""
    inside = False
    for number, line in enumerate(SPEC.splitlines(), 1):
        if line.startswith("```"):
            inside = line.startswith("```conversation")
        found = re.fullmatch(r"[A-Z]([<>]) ([\[{].*)", line)
        if inside and found:
            text = re.sub("<id [0-9]+>", "1795613497042-0", found[2].replace("<token>", TOKEN))
            text = text.replace('"<time>"', "1795613497042")
            yield number, found[1] == ">", json.loads(text)


def answered_as_wrong(number: int) -> bool:
    """Whether the reply that follows this line of SPEC.md says that the request was illegal or invalid."""
    return bool(re.search(r'"code":"(illegal|invalid_|missing_)', SPEC.splitlines()[number]))


LINES = list(conversation_lines())
GOOD = [line for line in LINES if not (line[1] and answered_as_wrong(line[0]))]
BAD = [line for line in LINES if line[1] and answered_as_wrong(line[0])]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_json_schema(name: str) -> None:
    schema = SCHEMAS[name]

    jsonschema.Draft202012Validator.check_schema(schema)

    assert schema["$id"] == name
    for example in schema.get("examples", []):
        validator(name).validate(example)


def test_spec_has_the_conversations_that_are_checked_here() -> None:
    assert len(GOOD) >= 20
    assert len(BAD) >= 5


@pytest.mark.parametrize(("number", "sent", "message"), GOOD, ids=lambda value: str(value)[:60])
def test_message_in_spec_fits_its_schema(number: int, sent: bool, message: dict[str, Any]) -> None:
    validator(kind_of(sent, message)).validate(message)


@pytest.mark.parametrize(("number", "sent", "message"), BAD, ids=lambda value: str(value)[:60])
def test_request_that_spec_answers_as_wrong_fits_no_schema(number: int, sent: bool, message: Any) -> None:
    for name in ("sign.json", "msg.json", "broadcast.json"):
        assert not validator(name).is_valid(message)


REPLIES_IN_TABLE = [
    json.loads(text.replace('"token":T', f'"token":"{TOKEN}"'))
    for text in re.findall(r'\| `(\{"status".*?\})`', SPEC)
]


def test_table_of_replies_is_found() -> None:
    assert len(REPLIES_IN_TABLE) == 15


@pytest.mark.parametrize("reply", REPLIES_IN_TABLE, ids=lambda reply: str(reply.get("code", reply["msg"])))
def test_reply_in_the_table_fits_with_and_without_code(reply: dict[str, Any]) -> None:
    validator("reply.json").validate(reply)
    validator("reply.json").validate({name: value for name, value in reply.items() if name != "code"})
    validator("reply.json").validate(reply | {"a later version's": "member"})


RIGHT = [
    ("sign.json", {"type": "sign", "uid": "0"}),
    ("sign.json", {"type": "sign", "uid": -9007199254740991, "unknown": 1}),
    ("sign.json", {"type": "sign", "uid": "é" * 128, "cid": "c" * 64}),
    ("msg.json", {"type": "msg", "to": "1002", "body": None}),
    ("msg.json", {"type": "msg", "to": 0, "body": False}),
    ("sign.json", {"type": "sign", "uid": "1001", "since": "9007199254740991-10"}),
    ("broadcast.json", {"type": "broadcast", "body": None, "to": "1002"}),
    ("reply.json", {"status": 0, "msg": "发送失败\uff0c未登入"}),
    ("reply.json", {"status": 1, "msg": "注册成功", "token": TOKEN, "gap": 1}),
    ("reply.json", {"status": 1, "msg": "sended", "id": "0-1", "dup": 1, "cid": "c"}),
    ("delivery.json", {"body": "hi", "from": "1001", "id": "1-0", "time": 1}),
    ("delivery.json", {"body": None, "from": "1001", "broadcast": 1}),
    ("delivery.json", {"body": {"status": 1}, "from": "1001"}),
]
WRONG = [
    ("sign.json", {"type": "Sign", "uid": "1001"}),
    ("sign.json", {"type": True, "uid": "1001"}),
    ("sign.json", {"type": "sign"}),
    ("sign.json", {"type": "sign", "uid": ""}),
    ("sign.json", {"type": "sign", "uid": "u" * 129}),
    ("sign.json", {"type": "sign", "uid": "a\nb"}),
    ("sign.json", {"type": "sign", "uid": "a\n"}),
    ("sign.json", {"type": "sign", "uid": "\u007f"}),
    ("sign.json", {"type": "sign", "uid": 1.5}),
    ("sign.json", {"type": "sign", "uid": 9007199254740992}),
    ("sign.json", {"type": "sign", "uid": None}),
    ("sign.json", {"type": "sign", "uid": ["1001"]}),
    ("sign.json", {"type": "sign", "uid": "1001", "cid": ""}),
    ("sign.json", {"type": "sign", "uid": "1001", "cid": "c" * 65}),
    ("sign.json", {"type": "sign", "uid": "1001", "cid": 7}),
    *(
        ("sign.json", {"type": "sign", "uid": "1001", "since": since})
        for since in ("yesterday", "1", "01-0", "1-01", "-1-0", "1-0-0", "1-0 ", "1" * 17 + "-0", 1, None)
    ),
    ("msg.json", {"type": "msg", "to": "1002"}),
    ("msg.json", {"type": "msg", "body": "hi"}),
    ("msg.json", {"type": "msg", "to": True, "body": "hi"}),
    ("msg.json", ["msg"]),
    ("reply.json", {"status": 2, "msg": "sended"}),
    ("reply.json", {"status": "1", "msg": "sended"}),
    ("reply.json", {"status": 0, "msg": "sended"}),
    ("reply.json", {"status": 1, "msg": "sent"}),
    ("reply.json", {"status": 1, "msg": "sended", "from": "1001"}),
    ("reply.json", {"status": 1, "msg": "sended", "disconnect": 1}),
    ("reply.json", {"status": 1, "msg": "注册成功"}),
    ("reply.json", {"status": 1, "msg": "注册成功", "token": TOKEN.upper()}),
    ("reply.json", {"status": 1, "msg": "注册成功", "token": TOKEN + "0"}),
    ("reply.json", {"status": 0, "msg": "参数错误", "code": "not_signed"}),
    ("reply.json", {"status": 0, "msg": "参数错误", "code": "invalid_cid", "cid": "7"}),
    ("reply.json", {"status": 0, "msg": "非法请求", "code": "illegal"}),
    ("reply.json", {"status": 0, "msg": "非法请求", "disconnect": 1, "cid": "7"}),
    ("reply.json", {"status": 0, "msg": "服务不可用", "disconnect": 1}),
    ("broadcast.json", {"type": "broadcast"}),
    ("broadcast.json", {"type": "broadcast", "body": 1, "cid": ""}),
    ("broadcast.json", {"type": "msg", "body": 1}),
    ("reply.json", {"status": 1, "msg": "sended", "dup": 1}),
    ("reply.json", {"status": 1, "msg": "sended", "id": "1-0", "dup": 0}),
    ("reply.json", {"status": 1, "msg": "sended", "gap": 1}),
    ("reply.json", {"status": 1, "msg": "注册成功", "token": TOKEN, "id": "1-0"}),
    ("reply.json", {"status": 1, "msg": "注册成功", "token": TOKEN, "gap": True}),
    ("reply.json", {"status": 0, "msg": "没有权限", "code": "full"}),
    ("reply.json", {"status": 0, "msg": "对方离线消息已满", "code": "full", "id": "1-0"}),
    ("delivery.json", {"body": "hi", "from": "1001", "id": "1-0"}),
    ("delivery.json", {"body": "hi", "from": "1001", "id": "1-0", "time": "1"}),
    ("delivery.json", {"body": "hi", "from": "1001", "broadcast": True}),
    ("delivery.json", {"body": "hi", "from": "1001", "broadcast": 1, "id": "1-0", "time": 1}),
    ("delivery.json", {"from": "1001"}),
    ("delivery.json", {"body": "hi"}),
    ("delivery.json", {"body": "hi", "from": 1001}),
    ("delivery.json", {"body": "hi", "from": "1001", "status": 1}),
]


@pytest.mark.parametrize(("name", "message"), RIGHT, ids=str)
def test_legal_message_fits(name: str, message: Any) -> None:
    validator(name).validate(message)


@pytest.mark.parametrize(("name", "message"), WRONG, ids=str)
def test_wrong_message_does_not_fit(name: str, message: Any) -> None:
    assert not validator(name).is_valid(message)


CHANNEL_FIELDS = {
    "address",
    "messages",
    "title",
    "summary",
    "description",
    "servers",
    "parameters",
    "tags",
    "bindings",
}
OPERATION_FIELDS = {
    "action",
    "channel",
    "title",
    "summary",
    "description",
    "security",
    "tags",
    "bindings",
    "traits",
    "messages",
    "reply",
}


def asyncapi() -> Any:
    return yaml.safe_load((ROOT / "schema" / "asyncapi.yaml").read_text(encoding="utf-8"))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def asyncapi_faults(document: Any) -> list[str]:
    """What an AsyncAPI 3.0 document has to have, as far as ours uses it. ci/asyncapi asks for more."""
    faults = [f"no {name}" for name in ("asyncapi", "info", "channels", "operations") if name not in document]
    if faults:
        return faults
    if not re.fullmatch(r"3\.0\.\d+", document["asyncapi"]):
        faults.append(f"version {document['asyncapi']}")
    faults += [f"info has no {name}" for name in ("title", "version") if name not in document["info"]]
    for name, channel in document["channels"].items():
        faults += [f"channel {name}: unknown {key}" for key in channel.keys() - CHANNEL_FIELDS]
    for name, operation in document["operations"].items():
        faults += [f"operation {name}: unknown {key}" for key in operation.keys() - OPERATION_FIELDS]
        if operation.get("action") not in ("send", "receive"):
            faults.append(f"operation {name}: action {operation.get('action')}")
        if "$ref" not in operation.get("channel", {}):
            faults.append(f"operation {name}: no channel")
    return faults


def test_asyncapi_has_the_shape_of_version_3() -> None:
    assert asyncapi_faults(asyncapi()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("info"),
        lambda document: document["info"].pop("version"),
        lambda document: document.update(asyncapi="2.6.0"),
        lambda document: document["operations"]["sign"].update(action="accept"),
        lambda document: document["operations"]["sign"].pop("channel"),
        lambda document: document["operations"]["sign"].update(chanel={}),
        lambda document: document["channels"]["chat"].update(adress="/"),
    ],
)
def test_spoilt_asyncapi_is_seen(spoil: Callable[[Any], object]) -> None:
    document = asyncapi()
    spoil(document)

    assert asyncapi_faults(document)


def test_asyncapi_refers_to_what_exists() -> None:
    document = asyncapi()
    found = set(references(document))

    for reference in found:
        name, _, pointer = reference.partition("#")
        node = SCHEMAS[name] if name else document
        for part in pointer.split("/")[1:]:
            node = node[part.replace("~1", "/").replace("~0", "~")]

    assert {"sign.json", "msg.json", "broadcast.json", "reply.json", "delivery.json"} <= found


def test_asyncapi_has_an_operation_for_every_message() -> None:
    document = asyncapi()
    used = set(references(document["operations"]))

    for name in document["channels"]["chat"]["messages"]:
        assert f"#/channels/chat/messages/{name}" in used


def test_schemas_cite_clauses_that_exist() -> None:
    clauses = set(re.findall(r"^- \*\*\[([A-Z]+-\d+)\]\*\*", SPEC, re.MULTILINE))
    for path in (ROOT / "schema").iterdir():
        for cited in re.findall(r"\[([A-Z]+-\d+)\]", path.read_text(encoding="utf-8")):
            assert cited in clauses, f"{path.name} cites {cited}"
