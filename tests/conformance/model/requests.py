"""From a text message to a request, and from a result to the text of a reply or delivery. SPEC 3 and 4.1."""

import json
import re
from dataclasses import dataclass

from .strict_json import NotJson, read_object, read_string

TYPES = frozenset(("sign", "msg"))  # [COMPAT-2] those of a feature are known only where it is served
UID_BYTES_MAX = 128
CID_BYTES_MAX = 64
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
_INTEGER_MAX = 2**53 - 1
_ID = re.compile(r"(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


Id = tuple[int, int]  # of a message, as it is compared: SPEC 7


class Illegal(Exception):
    """A message that the protocol has no meaning for. [ILLEGAL-1]"""


@dataclass(frozen=True)
class Request:
    """A legal request; None: the parameter is missing or invalid; 'body' is the text of a JSON value."""

    type: str
    uid: str | None = None
    to: str | None = None
    body: str | None = None
    cid: str | None = None
    cid_is_invalid: bool = False
    since: Id | None = None
    since_is_invalid: bool = False


def read_request(text: str, types: frozenset[str] = TYPES) -> Request:
    try:
        return request_of(read_object(text), types)
    except NotJson as reason:
        raise Illegal(str(reason)) from None


def request_of(members: dict[str, str], types: frozenset[str] = TYPES) -> Request:
    kind = _string(members.get("type"))
    if kind is None or kind not in types:  # [JSON-9]
        raise Illegal(f"type {kind!r}")
    cid, since = _cid(members.get("cid")), _since(members.get("since"))
    return Request(
        type=kind,
        uid=_uid(members.get("uid")),
        to=_uid(members.get("to")),
        body=members.get("body"),
        cid=cid,
        cid_is_invalid="cid" in members and cid is None,
        since=since,
        since_is_invalid="since" in members and since is None,
    )


def _string(value: str | None) -> str | None:
    return read_string(value) if value is not None and value.startswith('"') else None


def _uid(value: str | None) -> str | None:
    """[UID-1] to [UID-3]: a short string without control characters, or an integer that a double can hold."""
    if value is None:
        return None
    string = _string(value)
    if string is None:
        return _integer(value)
    size = len(string.encode())
    return string if 1 <= size <= UID_BYTES_MAX and not _CONTROL.search(string) else None


def _integer(value: str) -> str | None:
    if not _INTEGER.fullmatch(value) or abs(int(value)) > _INTEGER_MAX:
        return None
    return str(int(value))  # "-0" is "0"


def _cid(value: str | None) -> str | None:
    string = _string(value)
    return string if string is not None and 1 <= len(string.encode()) <= CID_BYTES_MAX else None


def _since(value: str | None) -> Id | None:
    string = _string(value)
    return read_id(string) if string is not None else None


def read_id(text: str) -> Id | None:
    match = _ID.fullmatch(text)
    if match is None or max(map(int, match.groups())) > _INTEGER_MAX:
        return None
    return int(match[1]), int(match[2])


def show_id(id: Id) -> str:
    return f"{id[0]}-{id[1]}"


SIGNED = "注册成功"
SENDED = "sended"
FAILURES = {
    "illegal": "非法请求",
    "invalid_cid": "参数错误",
    "not_signed": "发送失败,未登入",
    "invalid_uid": "参数错误",
    "invalid_to": "参数错误",
    "missing_body": "参数错误",
    "invalid_since": "参数错误",
    "denied": "没有权限",
    "full": "对方离线消息已满",
    "unavailable": "服务不可用",
}


def done(msg: str, cid: str | None, **more: str | int | None) -> str:
    return _reply(status=1, msg=msg, **more, cid=cid)


def failed(code: str, cid: str | None = None) -> str:
    disconnect = 1 if code == "illegal" else None
    return _reply(status=0, msg=FAILURES[code], disconnect=disconnect, code=code, cid=cid)


def delivery(body: str, sender: str, **more: str | int) -> str:
    """The body is relayed as it was written, so no number, order or repeated name can change. [BODY-2]"""
    others = "".join(f",{_text(name)}:{_text(value)}" for name, value in more.items())
    return f'{{"body":{body},"from":{_text(sender)}{others}}}'


def _reply(**members: str | int | None) -> str:
    return _text({name: value for name, value in members.items() if value is not None})


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
