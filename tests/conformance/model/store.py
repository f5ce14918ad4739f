"""Where the mapping of uids to fds is kept for others to see. SPEC 5.

The truth of who is signed as whom is the server's own roster, in memory; a store only mirrors it. So nothing
that another program does to Redis can change who a connection is ([ID-2], [STORE-13]), and all of it can be
written anew.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

Roster = Callable[[], dict[str, str]]  # fd -> uid of every signed connection, now


class Unavailable(Exception):
    """The store cannot do it now, and has done nothing."""


class Store(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def new_fd(self) -> str:
        """A name that no connection has ever had. [STORE-5]"""

    async def sign(self, fd: str, old: str | None, new: str, bind: Callable[[], None]) -> None:
        """Move 'fd' from 'old' to 'new' and call 'bind' then; or raise Unavailable and do neither."""

    async def ready(self, uid: str) -> None:
        """Return if a message to 'uid' can be sent now, else raise Unavailable."""

    async def forget(self, fd: str, uid: str) -> None:
        """Remove the traces of a connection that is no longer in the roster, now or as soon as possible."""


class MemoryStore:
    """Nothing to mirror: the roster is all there is."""

    def __init__(self) -> None:
        self._numbers = count(1)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def new_fd(self) -> str:
        return str(next(self._numbers))

    async def sign(self, fd: str, old: str | None, new: str, bind: Callable[[], None]) -> None:
        bind()

    async def ready(self, uid: str) -> None:
        pass

    async def forget(self, fd: str, uid: str) -> None:
        pass


class RedisStore:
    """One connection to Redis, one operation at a time, and a keeper that renews, repairs and reconnects."""

    TTL_S = 86400
    OPERATION_S = 1.5  # a hung Redis is 'unavailable' within 3 s [STORE-9]
    HEARTBEAT_S = 1.0  # also how often a lost Redis is tried again [STORE-10]

    def __init__(self, url: str, roster: Roster, refresh_s: float) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=self.OPERATION_S,
            socket_connect_timeout=self.OPERATION_S,
            retry=Retry(NoBackoff(), 0),
            max_connections=1,
        )
        self._roster = roster
        self._refresh_s = refresh_s
        self._node = secrets.token_hex(8)
        self._numbers = count(1)
        self._turn = asyncio.Lock()
        self._is_up = False
        self._doubtful: set[tuple[str, str]] = set()  # (fd, uid) that Redis may hold although it is not so
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        with suppress(Unavailable):
            await self._heal()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
        await self._redis.aclose()

    def new_fd(self) -> str:
        return f"{self._node}.{next(self._numbers)}"

    async def sign(self, fd: str, old: str | None, new: str, bind: Callable[[], None]) -> None:
        async def move() -> None:
            await self._be_alive()
            await self._write(fd, old, new)
            await self._sweep(new, but=fd)
            bind()  # inside the turn, so that a refresh never sees the one without the other

        self._doubtful.add((fd, new))  # until it is certain; a hung Redis may do it much later
        await self._do(move)
        self._doubtful.discard((fd, new))

    async def ready(self, uid: str) -> None:
        await self._do(lambda: self._redis.ping())

    async def forget(self, fd: str, uid: str) -> None:
        async def erase() -> None:
            await self._erase(fd, uid)
            await self._sweep(uid)

        self._doubtful.add((fd, uid))
        with suppress(Unavailable):
            await self._do(erase)
            self._doubtful.discard((fd, uid))

    @property
    def redis(self) -> Any:
        """For operations that are given to run(). Its own types know nothing of answers in bytes."""
        return self._redis

    async def run(self, operation: Callable[[], Any]) -> None:
        """Run another module's operation as one of the store's own."""
        await self._do(operation)

    async def _do(self, operation: Callable[[], Any]) -> None:
        """Run 'operation' alone, within the time limit; Unavailable at once while Redis is lost."""
        if not self._is_up:
            raise Unavailable
        try:
            async with asyncio.timeout(self.OPERATION_S), self._turn:
                if not self._is_up:  # lost while this one waited for its turn
                    raise Unavailable
                await operation()
        except (RedisError, OSError, TimeoutError):
            await self._lose()
            raise Unavailable from None

    async def _lose(self) -> None:
        self._is_up = False
        with suppress(RedisError, OSError):
            await self._redis.connection_pool.disconnect()

    async def _keep(self) -> None:
        """Show that this node lives, renew everything now and then, look for Redis when it is lost."""
        beats_left = 0.0
        while True:
            await asyncio.sleep(self.HEARTBEAT_S)
            beats_left -= self.HEARTBEAT_S
            with suppress(Unavailable):
                if not self._is_up:
                    await self._heal()
                elif beats_left > 0:
                    await self._do(self._beat)
                else:
                    await self._do(self._renew)
                    beats_left = self._refresh_s

    async def _heal(self) -> None:
        """Write everything anew: what Redis holds after an outage is anyone's guess. [STORE-10]"""
        try:
            async with asyncio.timeout(self.OPERATION_S), self._turn:
                await self._renew()
                self._is_up = True
        except (RedisError, OSError, TimeoutError):
            await self._lose()
            raise Unavailable from None

    async def _beat(self) -> None:
        await self._be_alive()

    async def _be_alive(self) -> None:
        """Show the others that this server lives, if there may be others."""
        await self._redis.ping()

    async def _renew(self) -> None:
        await self._beat()
        roster = self._roster()
        for fd, uid in list(self._doubtful):
            if roster.get(fd) != uid:
                await self._erase(fd, uid)
            self._doubtful.discard((fd, uid))
        for fd, uid in roster.items():
            await self._write(fd, None, uid)

    async def _write(self, fd: str, old: str | None, new: str) -> None:
        """The traces of 'fd' as 'new', and none as 'old', in one transaction."""
        for attempt in (1, 2):
            pipeline = self._redis.pipeline(transaction=True)
            if old is not None and old != new:
                pipeline.srem(set_key(old), fd)
            pipeline.sadd(set_key(new), fd)
            pipeline.set(uid_key(fd), new, ex=self.TTL_S)
            try:
                await pipeline.execute()
                return
            except ResponseError:  # another program has put a value of another type there [STORE-13]
                if attempt == 2:
                    raise
                await self._remove_wrong_types(new, old)

    async def _erase(self, fd: str, uid: str) -> None:
        """Remove 'fd' from the set of 'uid', and its own key unless it is signed as another uid by now."""
        with suppress(ResponseError):
            await self._redis.srem(set_key(uid), fd)
        if self._roster().get(fd) is None:
            await self._redis.delete(uid_key(fd))

    async def _remove_wrong_types(self, *uids: str | None) -> None:
        for uid in uids:
            if uid is not None and await self._redis.type(set_key(uid)) not in (b"set", b"none"):
                await self._redis.delete(set_key(uid))

    async def _sweep(self, uid: str, but: str | None = None) -> None:
        """Remove from the set every fd whose connection does not exist, with its own key. [STORE-6]"""
        roster = self._roster()
        try:
            members: set[bytes] = await self._redis.smembers(set_key(uid))  # type: ignore[assignment]
        except ResponseError:
            return  # not a set; the next sign or renewal of a device repairs it
        for member in members:
            fd = member.decode(errors="surrogateescape")
            if fd == but or roster.get(fd) == uid or await self._is_elsewhere(fd):
                continue
            await self._remove_stale(uid, member)

    async def _remove_stale(self, uid: str, member: bytes) -> None:
        await self._redis.srem(set_key(uid), member)
        if member.decode(errors="surrogateescape") not in self._roster():
            await self._redis.delete(b"chat_map_fd_uid:" + member)

    async def _is_elsewhere(self, fd: str) -> bool:
        """Is 'fd' a connection of another server that is alive? This one knows no others. [STORE-7]"""
        return False


class NodeStore(RedisStore):
    """One of several on the same Redis: whoever sees that a node is dead removes its traces. [NODE-6]"""

    NODE_TTL_S = 5  # a node that is silent for so long is dead: the documented time of [NODE-5]

    async def stop(self) -> None:
        with suppress(Unavailable):
            await self._do(lambda: self._redis.delete(node_key(self._node)))
        await super().stop()

    async def _be_alive(self) -> None:
        """Also before a sign: after a flush the others would take its fd for stale. [NODE-4]"""
        await self._redis.set(node_key(self._node), "1", ex=self.NODE_TTL_S)

    async def _is_elsewhere(self, fd: str) -> bool:
        node, dot, _ = fd.rpartition(".")
        if not dot or node == self._node:
            return False
        return bool(await self._redis.exists(node_key(node)))

    async def _beat(self) -> None:
        await super()._beat()
        await self._redis.sadd(_NODES, self._node)
        nodes: set[bytes] = await self._redis.smembers(_NODES)  # type: ignore[assignment]
        for node in sorted(each.decode() for each in nodes):
            if not await self._redis.exists(node_key(node)):
                await self._clean(node)

    async def _clean(self, node: str) -> None:
        prefix = uid_key(f"{node}.")
        async for key in self._redis.scan_iter(match=prefix + b"*"):
            uid = await self.redis.get(key)
            with suppress(ResponseError):
                fd = key.removeprefix(b"chat_map_fd_uid:")
                await self.redis.srem(b"chat_map_uid_fd:" + (uid or b""), fd)
            await self._redis.delete(key)
        await self._redis.srem(_NODES, node)


_NODES = "chat_model_nodes"


def set_key(uid: str) -> bytes:
    return b"chat_map_uid_fd:" + uid.encode()


def uid_key(fd: str) -> bytes:
    return b"chat_map_fd_uid:" + fd.encode()


def node_key(node: str) -> bytes:
    return b"chat_model_node:" + node.encode(errors="surrogateescape")
