"""The server under test: what all tests share (Target), and what one test sees of it (Server)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from chatcheck import processes
from chatcheck.address import Address, CannotConnect
from chatcheck.claims import from_now_on
from chatcheck.client import Client
from chatcheck.conversation import FAILURES, nfkc
from chatcheck.hidden import hide, remember
from chatcheck.ports import free_port
from chatcheck.raw_client import RawClient
from chatcheck.redis_control import PrivateRedis
from chatcheck.timing import eventually, scaled
from chatcheck.transcript import Transcript
from chatcheck.verdict import Mismatch, untested
from chatcheck.wire import Wire

_LOOPBACK = ("127.0.0.1", "::1")  # where a server that the suite starts may listen
_STOP_SECONDS = 10.0
_DESTROY_SECONDS = 1.0  # for the end in order of a server of which nothing more is asked
_FREE_SECONDS = 1.0  # for a port to be free when all that listened have ended
_REACHED_SECONDS = 5.0  # as long as an outage may be felt [STORE-10]
_LOG_SHOWN_MAX = 4000


class Unreachable(Exception):
    """The server cannot be started or does not accept connections: nothing can be said about it."""


class StoreUnavailable(Exception):
    """The server accepts connections, but not its Redis: nothing can be said about the server either."""


class StillListens(Exception):
    """What --start has left behind cannot be ended: it would be taken for the server that is started next."""


@dataclass(frozen=True)
class Documented:
    """What the server's documentation states, as the command line gave it."""

    paths: tuple[str, ...] = ("/",)
    message_limit: int = 65536
    nesting_limit: int = 512
    device_limit: int | None = None
    connections_limit: int | None = None
    ping_wait: float | None = None
    message_wait: float | None = None
    refresh_wait: float = 30.0
    death_wait: float = 12.0
    confirm_wait: float = 1.0
    broadcast_wait: float = 2.0
    history_max: int = 1000
    broadcaster: str | None = None
    is_volatile: bool = False
    start_wait: float = 15.0
    features: frozenset[str] = frozenset()


class Target:
    """The server under test, for the whole run."""

    def __init__(
        self,
        url: str | None,
        command: str | None,
        redis_url: str | None,
        documented: Documented,
        other_urls: tuple[str, ...] = (),
        cafile: Path | None = None,
    ) -> None:
        """Either `url` of a server that runs, or the `command` that starts one, with {port} and {redis}.

        `other_urls` are those of further nodes of a service that runs, `cafile` has CAs for wss:// besides
        the system's.
        """
        self.documented = documented
        self.redis_url = redis_url
        self.redis_control: PrivateRedis | None = None
        self._command = command
        self._other_urls = other_urls
        self._process: processes.Family | None = None
        self._log_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by destroy()
        self._last_log = ""  # what log() says then
        if command is not None and "{redis}" in command and redis_url is None:
            self.redis_control = PrivateRedis()
            self.redis_url = self.redis_control.url
        remember(redis_url or "")
        self.address = Address.parse(url, cafile) if url else Address(_LOOPBACK[0], free_port())
        self._why_not = ""  # the last attempt to connect failed

    def twin(self, redis_url: str | None = None) -> Target:
        """A second server of the same command, on a free port and on the same Redis, which stays ours; or on
        what that is reached by."""
        return Target(None, self._command, redis_url or self.redis_url, self.documented)

    def node(self) -> Target | None:
        """Another node of the same service: one that runs, or one to be started; None if there is neither."""
        if self._other_urls:
            return Target(self._other_urls[0], None, self.redis_url, self.documented, (), self.address.cafile)
        return self.twin() if self.can_start and self.starts_with_redis else None

    @property
    def starts_with_redis(self) -> bool:
        """Is the server told which Redis to use?"""
        return "{redis}" in (self._command or "")

    @property
    def can_start(self) -> bool:
        """May tests start and end the server?"""
        return self._command is not None

    def ensure_running(self) -> None:
        """Start the server if it is ours and does not run; wait until its port accepts, else Unreachable."""
        if self.redis_control is not None:
            self.redis_control.heal()
        is_new = self._command is not None and self.exit_status() is not None
        if self._command is not None and is_new:
            self._end_what_is_left()
            self._start(self._command)
        if not eventually(self._accepts, within=self.documented.start_wait):
            raise Unreachable(self._why_unreachable())
        if is_new and self.redis_url is not None:
            eventually(self._has_reached_redis, within=_REACHED_SECONDS)  # if not, the checks say so

    def check_store(self) -> None:
        """Raise StoreUnavailable if Redis answers the suite not, or the server not."""
        told = f"the server accepts connections at {self.address}, but"
        if why := self._why_no_redis():
            raise StoreUnavailable(f"{told} {why}\n{self.log()}")
        if eventually(lambda: not self._is_unavailable(), within=_REACHED_SECONDS):
            return
        reachable = f"; {hide(self.redis_url)} answers the suite" if self.redis_url else ""
        raise StoreUnavailable(f"{told} says that its store is unavailable{reachable}\n{self.log()}")

    def exit_status(self) -> int | None:
        """How the server's process ended; None while it runs. Of a server that never ran: 0."""
        return self._process.poll() if self._process is not None else 0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server: to the command of --start, and all that came of it."""
        assert self._process is not None, "the server is not ours"
        self._process.signal(number)

    def wait_for_exit(self) -> int | None:
        """Wait until the server has ended; its exit status. None if it had to be killed, as it went on."""
        assert self._process is not None, "the server is not ours"
        in_time = self._process.wait(scaled(_STOP_SECONDS))
        goes_on = not in_time and (self._process.has_root or self._is_reachable())
        self._end_what_is_left()
        return None if goes_on else self._process.poll()

    def log(self) -> str:
        """The end of what the server has written to stdout and stderr."""
        if self._log_file.closed:
            return self._last_log
        file = self._log_file.fileno()
        start = max(0, os.fstat(file).st_size - _LOG_SHOWN_MAX)
        # Not seek() and read(): the server writes where they would leave the position, which it shares.
        return hide(os.pread(file, _LOG_SHOWN_MAX, start).decode("utf-8", "backslashreplace"))

    def destroy(self) -> None:
        """End what the suite has started. A server that can ends in order, and writes what it writes then."""
        if self._process is not None:
            self.signal(signal.SIGTERM)
            self._process.wait(scaled(_DESTROY_SECONDS))
        try:
            self._end_what_is_left()
        finally:
            self._last_log = self.log()
            self._log_file.close()
            if self.redis_control is not None:
                self.redis_control.destroy()

    def _end_what_is_left(self) -> None:
        """Kill what runs of the server. Raises StillListens if that does not free its port."""
        if self._process is not None:
            self._process.kill()
        if self._command is not None and not self._is_free():
            who = processes.listener(self.address.port)
            raise StillListens(
                f"something still listens at {self.address}{f' ({who})' if who else ''}, though the command "
                "of --start and all that came of it were ended: end it by hand. The command has to run the "
                "server itself, not ask a service manager or a container engine for it (docker run: without "
                "--detach). Or start the server yourself and use --url"
            )

    def _is_free(self) -> bool:
        return eventually(lambda: not self._is_reachable(), within=_FREE_SECONDS, every=0.1)

    def _start(self, command: str) -> None:
        words = [
            word.replace("{port}", str(self.address.port)).replace("{redis}", self.redis_url or "")
            for word in shlex.split(command)
        ]
        try:
            self._process = processes.start(words, self._log_file, subprocess.STDOUT)
        except OSError as error:
            hint = "; name its interpreter, or give it a line such as #!/bin/sh"
            told = f"{hide(words[0])}: {error.strerror}{hint if error.errno == errno.ENOEXEC else ''}"
            raise Unreachable(told) from None

    def _is_reachable(self) -> bool:
        """Does anything listen on the port, of whichever loopback address?"""
        for host in _LOOPBACK if self.can_start else [self.address.host]:
            with contextlib.suppress(OSError):
                self.address.at(host).connect().close()
                return True
        return False

    def _accepts(self) -> bool:
        if self.can_start and self.exit_status() is not None:
            raise Unreachable(f"the server ended with status {self.exit_status()}\n{self.log()}")
        why = []
        for host in (
            sorted(_LOOPBACK, key=self.address.host.__ne__) if self.can_start else [self.address.host]
        ):
            try:
                self.address.at(host).connect().close()
            except CannotConnect as error:
                if error.is_final:
                    raise Unreachable(str(error)) from None
                why.append(str(error))
            else:
                self.address = self.address.at(host)
                return True
        self._why_not = "; ".join(why)
        return False

    def _why_unreachable(self) -> str:
        told = f"nothing accepts connections at {self.address}: {self._why_not}"
        if self.can_start:
            told += f" within {scaled(self.documented.start_wait):g} s; --start-wait gives it longer"
        if why := self._why_no_redis():
            told += f"; and {why}"
        return f"{told}\n{self.log()}"

    def _why_no_redis(self) -> str | None:
        """Why the Redis that we were told of is of no use; None if it is, or if there is none."""
        if self.redis_url is None:
            return None
        limit = scaled(_REACHED_SECONDS)
        limits = {"socket_connect_timeout": limit, "socket_timeout": limit}
        try:
            with redis.Redis.from_url(self.redis_url, **limits) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            return f"its Redis {hide(self.redis_url)} is not ready: {hide(str(error))}"
        return None

    def _has_reached_redis(self) -> bool:
        """Does it serve? A server may listen, and answer 'unavailable', before it has reached Redis."""
        return bool(self._answer_to_a_sign().get("status") != 0)

    def _is_unavailable(self) -> bool:
        answer = self._answer_to_a_sign()
        text = nfkc(FAILURES["unavailable"])
        return answer.get("code") == "unavailable" or nfkc(str(answer.get("msg"))) == text

    def _answer_to_a_sign(self) -> dict[str, Any]:
        """Empty if there is none; what is wrong then is for the checks to find."""
        with contextlib.suppress(AssertionError, OSError):
            client = RawClient(self.address, Transcript())
            try:
                client.send(type="sign", uid=secrets.token_hex(8))
                answer = client.recv()
                client.send_close(1000)
                return answer
            finally:
                client.release()
        return {}


class Server:
    """The server under test as one test sees it; every connection goes into the test's transcript."""

    def __init__(self, target: Target, transcript: Transcript | None = None) -> None:
        self.transcript = transcript or Transcript()
        self.documented = target.documented
        self.transcript.own_words.sets_aside = "broadcast" in self.documented.features
        self.transcript.own_words.shared_uid = self.documented.broadcaster
        self._target = target
        self._connections: list[Client | RawClient] = []
        self._redis: redis.Redis | None = None
        self._may_be_down = False
        self._others: list[Target] = []  # which ran in this test, too

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._target.address

    def uid(self) -> str:
        """A fresh uid, which nobody else uses."""
        return secrets.token_hex(8)

    def connect(self, path: str = "/", subprotocols: tuple[str, ...] = ()) -> Client:
        """A new connection, which has not signed."""
        client = Client(self.address, self.transcript, path, subprotocols)
        self._connections.append(client)
        return client

    def signed(self, uid: str | None = None) -> Client:
        """A new device of this uid, which gets nothing that was sent before, or of a fresh one."""
        __tracebackhide__ = True
        client = self.connect()
        if uid is None:
            client.sign(self.uid())
        else:
            client.sign(uid, **from_now_on())
        return client

    def broadcaster(self) -> Client:
        """A new device of a uid that may broadcast."""
        __tracebackhide__ = True
        client = self.connect()
        client.sign(self.documented.broadcaster or self.uid(), **from_now_on())
        return client

    def raw(self, handshake: bool = True, receive_buffer: int | None = None) -> RawClient:
        """A new connection by hand; `handshake=False`: TCP only."""
        __tracebackhide__ = True
        client = RawClient(self.address, self.transcript, handshake=handshake, receive_buffer=receive_buffer)
        self._connections.append(client)
        return client

    @property
    def redis(self) -> redis.Redis:
        """The server's Redis (answers are bytes); without one the test is untested."""
        if self._redis is None:
            if self._target.redis_url is None:
                untested("no --redis, and no {redis} in --start")
            self._redis = redis.Redis.from_url(self._target.redis_url, decode_responses=False)
        return self._redis

    @property
    def keeps_history(self) -> bool:
        """Does it serve the feature history?"""
        return "history" in self.documented.features

    @property
    def has_redis(self) -> bool:
        """Is there a Redis to look into?"""
        return self._target.redis_url is not None

    @property
    def redis_control(self) -> PrivateRedis:
        """The suite's own Redis that the server uses; without one the test is untested."""
        control = self._target.redis_control
        if control is None:
            untested("no --start with {redis}, so Redis is not the suite's to stop")
        return control

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server in an orderly way (SIGTERM) and wait until it has ended."""
        self._end(signal.SIGTERM)

    def start(self) -> None:
        """Start the server again, on the same port, after kill() or stop()."""
        self.transcript.note(" the server is started")
        with _time_stands_still():
            self._target.ensure_running()
        self._may_be_down = False

    def restart(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def another(self) -> Iterator[Server]:
        """A second server, started by the same command on a port of its own and on the same Redis."""
        if not self._target.can_start:
            untested("no --start, so there cannot be a second server")
        with self._running(self._target.twin()) as server:
            yield server

    @contextlib.contextmanager
    def node(self) -> Iterator[Server]:
        """Another node of the same service: that of the second --url, or one that is started now."""
        target = self._target.node()
        if target is None:
            untested("no second --url, and no --start with {redis}, so there is one node only")
        with self._running(target) as server:
            yield server

    @contextlib.contextmanager
    def node_on_a_wire(self) -> Iterator[tuple[Server, Wire]]:
        """Another node, started now, and its connection to Redis, which the test can cut."""
        redis_url = self._target.redis_url or ""
        if not self._target.can_start or not self._target.starts_with_redis:
            untested("no --start with {redis}, so no node can be cut off from it")
        if not redis_url.startswith("redis://"):
            untested(f"a connection to {hide(redis_url)} cannot be cut")
        wire = Wire(redis_url)
        try:
            with self._running(self._target.twin(wire.url)) as server:
                yield server, wire
        finally:
            wire.destroy()

    @contextlib.contextmanager
    def _running(self, target: Target) -> Iterator[Server]:
        self._others.append(target)
        try:
            with _time_stands_still():
                target.ensure_running()
            server = Server(target, self.transcript)
            try:
                yield server
            finally:
                server.release()
        finally:
            target.destroy()

    def allow(self, seconds: float) -> None:
        """Let the test take so many (scaled) seconds from now, where no `limit` mark can know."""
        signal.setitimer(signal.ITIMER_REAL, scaled(seconds))

    def assert_alive(self) -> None:
        """Fail if the server's process has ended though no test ended it."""
        status = self._target.exit_status()
        if self._target.can_start and status is not None and not self._may_be_down:
            raise AssertionError(f"the server has ended: exit status {status}")

    def log(self) -> str:
        """The end of what the server has written, and others that ran in this test, if started here."""
        logs = [self._target.log().strip()]
        for other in self._others:
            if log := other.log().strip():
                logs.append(f"--- another server, on port {other.address.port}:\n{log}")
        return "\n".join(logs).strip()

    def release(self) -> None:
        """Give up all connections of the test."""
        for connection in self._connections:
            connection.release()
        if self._redis is not None:
            self._redis.close()

    def _end(self, number: signal.Signals) -> None:
        if not self._target.can_start:
            untested("no --start, so the server is not the suite's to end")
        self._may_be_down = True
        self.transcript.note(f" the server gets {number.name}")
        self._target.signal(number)
        status = self._target.wait_for_exit()
        if status is None:
            raise Mismatch(f"that the server ends after {number.name}", "it goes on")
        self.transcript.note(f" the server has ended: exit status {status}")


@contextlib.contextmanager
def _time_stands_still() -> Iterator[None]:
    """What a server's start takes is no time of the test, which has its limit; the start has another one."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
