"""A server with some of the features broadcast, history and nodes. SPEC 6, 7 and 8."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from .frames import PONG
from .post import START, Entry, Full, MemoryPost, Past, Post, RedisPost
from .requests import SENDED, SIGNED, TYPES, Id, Request, done, failed, show_id
from .server import Connection, Message, Server, Settings
from .store import NodeStore, RedisStore, Store, Unavailable

FEATURES = ("broadcast", "history", "nodes")


@dataclass
class Progress:
    """How far a device has come with the messages of its uid."""

    floor: Id = START  # what was stored up to here is no live message for it
    got: set[Id] = field(default_factory=set)
    past: list[Entry] = field(default_factory=list)  # to be sent behind the reply to the sign
    newest: Id = START  # of those that it has got and was not asked about
    asking: asyncio.TimerHandle | None = None

    def is_done_with(self, entry: Entry) -> bool:
        """Has the device got it, or said with its 'since' that it had?"""
        return entry.id is None or entry.id <= self.floor or entry.id in self.got


class FeatureServer(Server):
    def __init__(self, settings: Settings) -> None:
        self._features = settings.features
        self._progress: dict[str, Progress] = {}  # fd -> of the device
        self._asked: dict[str, dict[bytes, tuple[str, Id]]] = {}  # fd -> ping's payload -> uid, up to where
        super().__init__(settings)
        self._post = self._new_post()

    async def start(self, port: int) -> int:
        await self._post.start(self._hand_out)
        return await super().start(port)

    async def stop(self) -> None:
        await super().stop()
        await self._post.stop()

    def _serves(self, feature: str) -> bool:
        return feature in self._features

    def _new_store(self) -> Store:
        if self._settings.redis and self._serves("nodes"):
            return NodeStore(self._settings.redis, self._roster, self._settings.refresh)
        return super()._new_store()

    def _new_post(self) -> Post:
        history_max = self._settings.history_max if self._serves("history") else None
        if self._settings.redis:
            assert isinstance(self._store, RedisStore)
            return RedisPost(self._settings.redis, self._store, history_max)
        return MemoryPost(history_max)

    async def _leave(self, connection: Connection) -> None:
        progress = self._progress.pop(connection.fd, None)
        self._asked.pop(connection.fd, None)
        if progress and progress.asking:
            progress.asking.cancel()
        await super()._leave(connection)

    # Requests

    async def _handle(self, connection: Connection, message: Message) -> None:
        if message.opcode == PONG:
            await self._ponged(connection, message.payload)
            return
        await super()._handle(connection, message)
        self._send_past(connection)

    def _types(self) -> frozenset[str]:
        return TYPES | {"broadcast"} if self._serves("broadcast") else TYPES

    async def _obey(self, connection: Connection, request: Request) -> str:
        if request.type == "broadcast":
            return await self._broadcast(connection, request)
        return await super()._obey(connection, request)

    async def _sign(self, connection: Connection, request: Request) -> str:
        uid = request.uid
        if uid is None:
            return failed("invalid_uid", request.cid)
        has_history = self._serves("history")
        if has_history and request.since_is_invalid:
            return failed("invalid_since", request.cid)
        goes_on = connection.uid == uid and request.since is None  # with what it has not got yet [HIST-10]
        await self._post.caught_up()
        async with self._post.quiet:
            past = await self._post.past(uid, request.since) if has_history else Past()
            await self._store.sign(
                connection.fd, connection.uid, uid, lambda: self._begin(connection, request, past)
            )
        gap = 1 if past.has_gap and not goes_on else None
        return done(SIGNED, request.cid, token=self._new_token(connection), gap=gap)

    async def _msg(self, connection: Connection, request: Request) -> str:
        if connection.uid is None:
            return failed("not_signed", request.cid)
        if request.to is None:
            return failed("invalid_to", request.cid)
        if request.body is None:
            return failed("missing_body", request.cid)
        try:
            sent = await self._post.send(Entry(request.body, connection.uid, request.to), request.cid)
        except Full:
            return failed("full", request.cid)
        id = show_id(sent.id) if sent.id else None
        return done(SENDED, request.cid, id=id, dup=1 if sent.is_dup else None)

    async def _broadcast(self, connection: Connection, request: Request) -> str:
        if connection.uid is None:
            return failed("not_signed", request.cid)
        if request.body is None:
            return failed("missing_body", request.cid)
        if not self._may_broadcast(connection.uid):
            return failed("denied", request.cid)
        await self._post.broadcast(Entry(request.body, connection.uid))
        return done(SENDED, request.cid)

    def _may_broadcast(self, uid: str) -> bool:
        return not self._settings.broadcasters or uid in self._settings.broadcasters

    # What devices get

    def _begin(self, connection: Connection, request: Request, past: Past) -> None:
        """The connection is a device from now on, and 'past' is what it gets before anything live."""
        assert request.uid is not None
        before = self._progress.get(connection.fd)
        if before and connection.uid == request.uid and request.since is None:  # [HIST-20]
            before.past = [entry for entry in past.entries if not before.is_done_with(entry)]
            return
        if before and before.asking:
            before.asking.cancel()
            self._ask(connection)
        self._bind(connection, request.uid)
        self._progress[connection.fd] = Progress(past.newest, past=past.entries)
        connection.hands_on_pongs = True

    def _send_past(self, connection: Connection) -> None:
        progress = self._progress.get(connection.fd)
        if progress is None:
            return
        past, progress.past = progress.past, []
        for entry in past:
            self._hand_to(connection, progress, entry)

    def _hand_out(self, entry: Entry) -> None:
        """Called in the one order in which everything was sent."""
        for device in self._devices_for(entry):
            progress = self._progress[device.fd]
            if entry.id is None or not progress.is_done_with(entry):
                self._hand_to(device, progress, entry)

    def _devices_for(self, entry: Entry) -> list[Connection]:
        if entry.to is None:
            return [device for devices in self._devices.values() for device in devices.values()]
        return list(self._devices.get(entry.to, {}).values())

    def _hand_to(self, device: Connection, progress: Progress, entry: Entry) -> None:
        self._deliver(device, entry.text)
        if entry.id is None:
            return
        progress.got.add(entry.id)
        progress.newest = max(progress.newest, entry.id)
        if progress.asking is None:
            loop = asyncio.get_running_loop()
            progress.asking = loop.call_later(self._settings.confirm_after, self._ask, device)

    # Confirmation

    def _ask(self, device: Connection) -> None:
        """[HIST-12] The pong will say that everything up to there has been read."""
        progress = self._progress[device.fd]
        progress.asking = None
        assert device.uid is not None
        payload = show_id(progress.newest).encode()
        self._asked.setdefault(device.fd, {})[payload] = (device.uid, progress.newest)
        device.ping(payload)

    async def _ponged(self, connection: Connection, payload: bytes) -> None:
        asked = self._asked.get(connection.fd, {}).pop(payload, None)
        if asked is not None:  # [HIST-22]
            with suppress(Unavailable):
                await self._post.confirm(*asked)
