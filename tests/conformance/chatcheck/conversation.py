"""What tests say and expect on a connection, whichever client is below it."""

from __future__ import annotations

import json
import secrets
import unicodedata
from abc import ABC, abstractmethod
from typing import Any, NoReturn

from chatcheck.claims import claims
from chatcheck.own_words import OwnWords
from chatcheck.transcript import show_text
from chatcheck.verdict import Inconclusive, Mismatch

SIGNED = "注册成功"
SENT = "sended"
FAILURES = {
    "not_signed": "发送失败,未登入",
    "invalid_cid": "参数错误",
    "invalid_uid": "参数错误",
    "invalid_to": "参数错误",
    "missing_body": "参数错误",
    "invalid_since": "参数错误",
    "denied": "没有权限",
    "full": "对方离线消息已满",
    "unavailable": "服务不可用",
    "illegal": "非法请求",
}


A_MESSAGE = "a message"  # what recv_text() expects when something else comes, such as a close frame


class NothingCame(Mismatch):
    """The time limit passed without a message."""


def same_json(a: object, b: object) -> bool:
    """Are they the same JSON value? Numbers are equal as binary64, strings by code points."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_json(x, y) for x, y in zip(a, b, strict=True))
    if _is_number(a) and _is_number(b):
        return float(str(a)) == float(str(b))
    return type(a) is type(b) and a == b


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def dump(value: object) -> str:
    """JSON as the protocol's examples write it: no spaces, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_object(text: str) -> dict[str, Any]:
    """What a message says; anything but one JSON object fails."""
    __tracebackhide__ = True
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Mismatch("a message that is one JSON object", f"{show_text(text)} ({error})") from None
    if not isinstance(message, dict):
        raise Mismatch("a message that is one JSON object", show_text(text))
    return message


class Conversation(ABC):
    """The protocol's words on one connection."""

    name: str = "?"  # in the transcript
    uid: str = ""  # as which it is signed; empty, which is no uid, if it is not
    own_words: OwnWords

    @abstractmethod
    def send_text(self, text: str) -> None:
        """Send a text message."""

    @abstractmethod
    def recv_text(self) -> str:
        """The next message as it came; fails when none comes in time or the connection ends."""

    @abstractmethod
    def expect_closed(self, code: int) -> None:
        """The next thing must be the server's close frame with this code, and then the end of TCP."""

    @abstractmethod
    def ping(self, payload: bytes = b"") -> None:
        """Send a ping and wait for its pong."""

    def send(self, **members: Any) -> None:
        """Send a JSON object with these members."""
        self.own_words.add(members)
        self.send_text(dump(members))

    def recv(self) -> dict[str, Any]:
        """The next message; anything but one JSON object fails."""
        __tracebackhide__ = True
        return read_object(self.recv_text())

    def expect_reply(self, status: int, code: str | None = None, **members: Any) -> dict[str, Any]:
        """The next message must be a reply with this status, the text of the table, and these members.

        A `code` is compared only if the server sends one (REPLY-4 is a SHOULD); the text always is.
        """
        __tracebackhide__ = True
        wanted = f"a reply with status {status}" + (f" and code {code}" if code else "")
        if members:
            wanted += f" and {dump(members)}"
        reply = self._recv_expected(wanted)
        if not same_json(reply.get("status"), status) or "from" in reply:
            raise Mismatch(f"{wanted} on {self.name}", show_text(dump(reply)))
        _check_words(reply, status, code, members.pop("msg", None))
        for name, value in members.items():
            if name not in reply or not same_json(reply[name], value):
                raise Mismatch(f"{wanted} on {self.name}", show_text(dump(reply)))
        return reply

    def expect_illegal(self, **members: Any) -> dict[str, Any]:
        """The next message must be the reply to an illegal request, and, if claimed, the close behind it."""
        __tracebackhide__ = True
        reply = self.expect_reply(0, "illegal", **members)
        if claims("ILLEGAL-3"):
            self.expect_closed(1008)
        return reply

    def expect_delivery(self, body: Any, sender: str) -> dict[str, Any]:
        """The next message must be a delivery of this body from this uid."""
        __tracebackhide__ = True
        wanted = show_text(f"the delivery {dump({'body': body, 'from': sender})}")
        delivery = self._recv_expected(wanted)
        as_wanted = (
            "status" not in delivery
            and "body" in delivery
            and same_json(delivery["body"], body)
            and same_json(delivery.get("from"), sender)
        )
        if not as_wanted:
            raise Mismatch(f"{wanted} on {self.name}", show_text(dump(delivery)))
        return delivery

    def expect_broadcast(self, body: Any, sender: str) -> dict[str, Any]:
        """The next message must be a broadcast of this body from this uid."""
        __tracebackhide__ = True
        wanted = {"body": body, "from": sender, "broadcast": 1}
        delivery = self.expect_delivery(body, sender)
        if not same_json(delivery.get("broadcast"), 1) or delivery.keys() & {"id", "time"}:
            raise Mismatch(show_text(f"the broadcast {dump(wanted)}"), show_text(dump(delivery)))
        return delivery

    def sign(self, uid: str | int, **extra: Any) -> dict[str, Any]:
        """Sign as this uid and expect the reply."""
        __tracebackhide__ = True
        self.send(type="sign", uid=uid, **extra)
        reply = self.expect_reply(1, msg=SIGNED)
        if not isinstance(reply.get("token"), str):
            raise Mismatch("a reply with a token", show_text(dump(reply)))
        self.uid = str(uid)
        return reply

    def msg(self, to: str | int, body: Any, **extra: Any) -> dict[str, Any]:
        """Send a msg and expect its reply. (To its own uid, use send: the delivery comes first.)"""
        __tracebackhide__ = True
        self.send(type="msg", to=to, body=body, **extra)
        return self.expect_reply(1, msg=SENT)

    def broadcast(self, body: Any, **extra: Any) -> dict[str, Any]:
        """Send a broadcast, and expect it and then its reply."""
        __tracebackhide__ = True
        self.send(type="broadcast", body=body, **extra)
        self.expect_broadcast(body, self.uid)
        return self.expect_reply(1, msg=SENT)

    def fence(self) -> None:
        """Prove that nothing else has arrived: what is asked for now must be the very next thing.

        Signed: a msg to its own uid, which every other device of that uid gets, too. Not signed: a msg, whose
        answer is not_signed. Signed as a uid that other tests use as well: a msg without body.
        """
        __tracebackhide__ = True
        body = secrets.token_hex(8)
        try:
            is_shared = self.uid == self.own_words.shared_uid
            with_body = {} if is_shared else {"body": body}
            self.send(type="msg", to=self.uid or secrets.token_hex(8), **with_body)
            if not self.uid:
                self.expect_reply(0, "not_signed")
                return
            if is_shared:
                self.expect_reply(0, "missing_body")
                return
            self.expect_delivery(body, self.uid)
            self.expect_reply(1, msg=SENT)
        except NothingCame as error:
            raise Inconclusive(f"the fence got no answer, so nothing is proved: {error}") from None
        except Mismatch as error:
            raise Mismatch(
                f"that nothing more comes on {self.name} before {error.expected}", error.got
            ) from None

    def _recv_expected(self, wanted: str) -> dict[str, Any]:
        """The next message; if none comes, what was wanted of it is said, and where."""
        __tracebackhide__ = True
        try:
            return self.recv()
        except NothingCame as error:
            raise NothingCame(f"{wanted} on {self.name}", error.got) from None
        except Mismatch as error:
            if error.expected == A_MESSAGE:
                raise Mismatch(f"{wanted} on {self.name}", error.got) from None
            raise


def _check_words(reply: dict[str, Any], status: int, code: str | None, msg: str | None) -> None:
    """Check a reply's msg, and its code and disconnect if it has them."""
    __tracebackhide__ = True
    if msg is not None:
        texts = {msg}
    elif status == 1:
        texts = {SIGNED, SENT}
    else:
        texts = {FAILURES[code]} if code else set(FAILURES.values())
    text = reply.get("msg")
    if not isinstance(text, str) or unicodedata.normalize("NFKC", text) not in {nfkc(t) for t in texts}:
        raise Mismatch(f"a reply whose msg is {' or '.join(sorted(texts))}", show_text(dump(reply)))
    if code is not None and "code" in reply and reply["code"] != code:
        raise Mismatch(f"a reply with code {code}", show_text(dump(reply)))
    disconnect = reply.get("disconnect")
    if code == "illegal" and not same_json(disconnect, 1):
        raise Mismatch('a reply with "disconnect":1', show_text(dump(reply)))
    if code not in (None, "illegal") and "disconnect" in reply:
        raise Mismatch("a reply without disconnect", show_text(dump(reply)))


def nfkc(text: str) -> str:
    """The form in which msg is compared (REPLY-3)."""
    return unicodedata.normalize("NFKC", text)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
