"""From a text message to a request, and from a result to the text of a reply or delivery. SPEC 3 and 4.1."""

import json
import re
from dataclasses import dataclass

from .strict_json import NotJson, read_object, read_string

UID_BYTES_MAX = 128
CID_BYTES_MAX = 64
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
_INTEGER_MAX = 2**53 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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


def read_request(text: str) -> Request:
    try:
        return request_of(read_object(text))
    except NotJson as reason:
        raise Illegal(str(reason)) from None


def request_of(members: dict[str, str]) -> Request:
    kind = _string(members.get("type"))
    if kind not in ("sign", "msg"):  # [JSON-9]
        raise Illegal(f"type {kind!r}")
    cid = _cid(members.get("cid"))
    return Request(
        type=kind,
        uid=_uid(members.get("uid")),
        to=_uid(members.get("to")),
        body=members.get("body"),
        cid=cid,
        cid_is_invalid="cid" in members and cid is None,
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


SIGNED = "注册成功"
SENDED = "sended"
FAILURES = {
    "illegal": "非法请求",
    "invalid_cid": "参数错误",
    "not_signed": "发送失败,未登入",
    "invalid_uid": "参数错误",
    "invalid_to": "参数错误",
    "missing_body": "参数错误",
    "unavailable": "服务不可用",
}


def done(msg: str, cid: str | None, token: str | None = None) -> str:
    return _reply(status=1, msg=msg, token=token, cid=cid)


def failed(code: str, cid: str | None = None) -> str:
    disconnect = 1 if code == "illegal" else None
    return _reply(status=0, msg=FAILURES[code], disconnect=disconnect, code=code, cid=cid)


def delivery(body: str, sender: str) -> str:
    """The body is relayed as it was written, so no number, order or repeated name can change. [BODY-2]"""
    return f'{{"body":{body},"from":{_text(sender)}}}'


def _reply(**members: str | int | None) -> str:
    return _text({name: value for name, value in members.items() if value is not None})


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
