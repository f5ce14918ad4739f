"""Faults in the store: overrides of the right stores' methods. SPEC 5."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from redis.exceptions import RedisError

from .faults import fault
from .store import MemoryStore, RedisStore, Roster, Unavailable, set_key, uid_key


class FaultyMemoryStore(MemoryStore):
    """Nothing can be wrong with it: all that the faults of section 5 break is in Redis."""


class FaultyRedisStore(RedisStore):
    def __init__(self, url: str, roster: Roster, refresh_s: float) -> None:
        if fault("outage-after-5-s"):
            self.OPERATION_S = 5.0
        if fault("back-after-8-s"):
            self.HEARTBEAT_S = 8.0
        super().__init__(url, roster, refresh_s)
        self._fds = count(1)
        self._free: list[str] = []
        self._first_uids: dict[str, str] = {}
        self._lost_once = False

    async def uid_of(self, fd: str) -> str | None:
        """Who Redis says that this fd is; no right server asks."""
        found: list[bytes | None] = []

        async def ask() -> None:
            found.append(await self._redis.get(uid_key(fd)))  # type: ignore[arg-type]

        with suppress(Unavailable):
            await self._do(ask)
        return found[0].decode(errors="replace") if found and found[0] is not None else None

    def new_fd(self) -> str:
        if self._free:
            return self._free.pop()
        right = super().new_fd()
        if fault("fd-with-space"):
            return right.replace(".", " ")
        if fault("fd-too-long"):
            return right.rjust(65, "0")
        if fault("fd-not-ascii"):
            return right + "号"
        if fault("fd-from-1") or fault("born-signed-from-store"):
            return str(next(self._fds))
        return right

    async def sign(self, fd: str, old: str | None, new: str, bind: Callable[[], None]) -> None:
        if fault("stale-late"):
            asyncio.get_running_loop().call_later(
                0.3,
                lambda: asyncio.ensure_future(
                    self._do(lambda: super(FaultyRedisStore, self)._sweep(new, fd))
                ),
            )
        await super().sign(fd, old, new, bind)

    async def ready(self, uid: str) -> None:
        await super().ready(uid)
        if fault("stale-refuses-msg") and await self._has_stale(uid):
            raise Unavailable

    async def _has_stale(self, uid: str) -> bool:
        return bool(await self.members(uid) - {f for f, u in self._roster().items() if u == uid})

    def is_back(self) -> bool:
        """Has Redis been lost and come back since this was asked last?"""
        was_lost, self._lost_once = self._lost_once and self._is_up, self._lost_once and not self._is_up
        return was_lost

    async def members(self, uid: str) -> set[str]:
        found: list[set[str]] = [set()]

        async def ask() -> None:
            found.append(await self._members(uid))

        with suppress(Unavailable):
            await self._do(ask)
        return found[-1]

    async def _members(self, uid: str) -> set[str]:
        """The same for who has the turn already."""
        with suppress(RedisError, OSError):
            found: set[bytes] = await self._redis.smembers(set_key(uid))  # type: ignore[assignment]
            return {member.decode(errors="replace") for member in found}
        return set()

    async def forget(self, fd: str, uid: str) -> None:
        if fault("close-leaves-fd"):
            await self._do(lambda: self._redis.delete(uid_key(fd)))
            return
        if fault("close-leaves-key"):
            await self._do(lambda: self._redis.srem(set_key(uid), fd))
            return
        if fault("left-in-outage-stays") and not self._is_up:
            return
        await super().forget(fd, uid)
        if fault("fd-reused"):
            self._free.append(fd)

    async def _write(self, fd: str, old: str | None, new: str) -> None:
        if fault("set-late") and old != new and fd not in self._first_uids:
            self._first_uids[fd] = new
            asyncio.get_running_loop().call_later(
                0.3, lambda: asyncio.ensure_future(self._write_right(fd, old, new))
            )
            return
        await self._write_right(fd, old, new)
        await self._spoil(fd, old, new)

    async def _write_right(self, fd: str, old: str | None, new: str) -> None:
        if fault("move-leaves-fd"):
            old = None
        has_fault = fault("wrong-type-exits") or fault("wrong-type-unavailable")
        if has_fault and await self._redis.type(set_key(new)) not in (b"set", b"none"):
            if fault("wrong-type-exits"):
                os._exit(255)
            raise Unavailable
        await super()._write(fd, old, new)

    async def _spoil(self, fd: str, old: str | None, new: str) -> None:
        """Put something wrong into the place of what has just been written."""
        key, members = uid_key(fd), set_key(new)
        self._first_uids.setdefault(fd, new)
        if fault("ttl-missing"):
            await self._redis.persist(key)
        if fault("ttl-90000"):
            await self._redis.expire(key, 90000)
        if fault("key-is-hash"):
            await self._redis.delete(key)
            await self._redis.hset(key, "uid", new)
        if fault("key-is-json"):
            await self._redis.set(key, f'"{new}"', ex=self.TTL_S)
        if fault("key-folded-uid"):
            await self._redis.set(key, new.lower(), ex=self.TTL_S)
        if fault("key-folded") or fault("key-cut-at-100"):
            await self._redis.srem(members, fd)
            await self._redis.sadd(set_key(new.lower() if fault("key-folded") else new[:100]), fd)
        if fault("key-of-first-uid"):
            await self._redis.set(key, self._first_uids[fd], ex=self.TTL_S)
        if fault("set-is-list"):
            await self._redis.delete(members)
            await self._redis.rpush(members, fd)
        if fault("set-of-newest-only"):
            await self._redis.delete(members)
            await self._redis.sadd(members, fd)
        if fault("set-doubled"):
            await self._redis.sadd(members, fd + "#")
        if fault("set-kept-with-mark"):
            await self._redis.sadd(members, "0")

    async def _sweep(self, uid: str, but: str | None = None) -> None:
        if fault("stale-stay") or fault("stale-late") or fault("set-kept-with-mark") or fault("set-doubled"):
            return
        if fault("stale-resign-only") and but is not None and self._roster().get(but) != uid:
            return
        if fault("odd-member-exits") and any(
            "\ufffd" in m or not m.isascii() for m in await self._members(uid)
        ):
            os._exit(255)
        if fault("stale-first-only"):
            await self._sweep_first(uid, but)
            return
        if fault("live-siblings-removed") and but is not None:
            for fd in await self._members(uid) - {but}:
                await self._redis.srem(set_key(uid), fd)
        await super()._sweep(uid, but)

    async def _sweep_first(self, uid: str, but: str | None) -> None:
        roster = self._roster()
        for fd in sorted(await self._members(uid)):
            if fd != but and roster.get(fd) != uid:
                await self._redis.srem(set_key(uid), fd)
                await self._redis.delete(uid_key(fd))
                return

    async def _remove_stale(self, uid: str, member: bytes) -> None:
        if fault("stale-keys-stay"):
            await self._redis.srem(set_key(uid), member)
            return
        await super()._remove_stale(uid, member)
        if fault("foreign-live-keys-removed"):
            await self._redis.delete(b"chat_map_fd_uid:" + member)

    async def _is_elsewhere(self, fd: str) -> bool:
        if fault("stale-foreign-stay") and not fd.startswith(self._node):
            return True
        return await super()._is_elsewhere(fd)

    async def _renew(self) -> None:
        if fault("back-without-traces") and self._lost_once:
            await self._beat()
            return
        if not self._is_up:
            await self._renew_after_outage()
            return
        if fault("never-repaired") or fault("ttl-not-renewed"):
            await self._beat()
            return
        if fault("first-50-repaired"):
            await self._beat()
            for fd, uid in list(self._roster().items())[:50]:
                await super()._write(fd, None, uid)
            return
        if fault("set-not-repaired"):
            await self._beat()
            for fd, uid in self._roster().items():
                await self._redis.set(uid_key(fd), uid, ex=self.TTL_S)
            return
        if fault("ttl-renewed-if-missing"):
            await self._beat()
            for fd, uid in self._roster().items():
                if not await self._redis.exists(uid_key(fd)):
                    await super()._write(fd, None, uid)
                await self._redis.sadd(set_key(uid), fd)
            return
        await super()._renew()

    async def _renew_after_outage(self) -> None:
        if fault("never-back") and self._lost_once:
            raise RedisError
        await super()._renew()

    async def _lose(self) -> None:
        self._lost_once = True
        await super()._lose()
