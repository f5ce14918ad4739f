"""What a run is told: flags of the command line, and the same names in chatcheck.toml. Flags win."""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import ssl
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from redis.connection import parse_url

from chatcheck.address import Address, trust
from chatcheck.clauses import Clause, load_spec
from chatcheck.command import why_not
from chatcheck.hidden import hide_url, remember

FILE_NAME = "chatcheck.toml"
PROFILES = ("original", "core", "full")
# Feature -> the section that its clauses are in.
FEATURES = {"redis": 5, "broadcast": 6, "history": 7, "nodes": 8, "auth": 9}
CORE_SECTIONS = (2, 3, 4, 10)
JOBS_MAX = 4  # unless one asks for more; checks mostly wait for the server, so a core makes two at a time


class WrongUse(Exception):
    """The user has asked for what cannot be done; the text says what to do instead."""


@dataclass(frozen=True)
class Option:
    """A flag without its dashes, which is also the key in chatcheck.toml."""

    name: str
    kind: type  # str, list, float, int, bool or Path
    help: str
    metavar: str | None = None

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")


OPTIONS: dict[str, list[Option]] = {
    "the server, either running or started by the suite": [
        Option("url", list, "where it listens; repeat it for several nodes of one service", "ws://…"),
        Option("cafile", Path, "CAs that are trusted for wss:// besides the system's, in PEM", "FILE"),
        Option(
            "start", str, "the command that starts it; the suite fills in {port} and {redis}", "'COMMAND'"
        ),
        Option("start-wait", float, "how long its start may take (15)", "SECONDS"),
        Option("redis", str, "the Redis that it uses, to look into", "redis://…"),
        Option("name", str, "what reports call it", "NAME"),
    ],
    "what is checked": [
        Option("profile", str, "original, core (the default) or full: core and all features", "NAME"),
        Option("feature", list, "a feature that the server serves, such as redis", "NAME"),
        Option("only", list, "only this clause; may be repeated", "ID"),
        Option("known-failures", Path, "failures that are allowed; 'chatcheck baseline' writes it", "FILE"),
        Option("strict", bool, "a SHOULD that is not satisfied fails the run"),
        Option("timeout-factor", float, "multiply all time limits, for slow machines (1)", "N"),
        Option("jobs", int, "so many checks side by side (two for each core, up to 4)", "N"),
    ],
    "what the server's documentation says": [
        Option("path", list, "a path besides / that it serves; may be repeated", "PATH"),
        Option("message-limit", int, "the longest message, in bytes (65536)", "N"),
        Option("nesting-limit", int, "how deep JSON may be nested, in levels (512)", "N"),
        Option("device-limit", int, "the most devices of a uid, if there is a limit", "N"),
        Option("connections-limit", int, "the most connections, if there is a limit", "N"),
        Option("ping-wait", float, "after how long a peer that answers no ping is dropped", "SECONDS"),
        Option("message-wait", float, "after how long a message that does not end is refused", "SECONDS"),
        Option("refresh-wait", float, "when what others delete from Redis is back (30)", "SECONDS"),
        Option("death-wait", float, "when a dead server's fds count as stale (12)", "SECONDS"),
        Option("confirm-wait", float, "when deliveries are followed by a ping with their id (1)", "SECONDS"),
        Option("broadcast-wait", float, "until when who signs elsewhere may get a broadcast (2)", "SECONDS"),
        Option("history-max", int, "so many messages of each uid are retained (1000)", "N"),
        Option("broadcaster", str, "only this uid may broadcast", "UID"),
        Option("volatile", bool, "messages are kept in memory only, so a crash loses them"),
    ],
    "reports": [
        Option("json", Path, "everything, for programs and 'chatcheck compare'", "FILE"),
        Option("junit", Path, "JUnit XML, for CI", "FILE"),
        Option("html", Path, "one page, for people", "FILE"),
        Option("markdown", Path, "a summary, such as for $GITHUB_STEP_SUMMARY", "FILE"),
        Option("annotations", bool, "print GitHub annotations"),
    ],
}
_ALL = [option for group in OPTIONS.values() for option in group]
_KIND_NAMES = {
    str: "a string",
    list: "a string, or a list of strings",
    float: "a number",
    int: "a whole number",
}
_KIND_NAMES |= {bool: "true or false", Path: "a file's name"}


@dataclass(frozen=True)
class Settings:
    """All of them, checked."""

    url: list[str] = field(default_factory=list)
    cafile: Path | None = None
    start: str | None = None
    start_wait: float = 15.0
    redis: str | None = None
    name: str | None = None
    profile: str = "core"
    feature: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)
    known_failures: Path | None = None
    strict: bool = False
    timeout_factor: float = 1.0
    jobs: int = field(default_factory=lambda: min(2 * (os.cpu_count() or 1), JOBS_MAX))
    path: list[str] = field(default_factory=list)
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
    volatile: bool = False
    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    markdown: Path | None = None
    annotations: bool = False

    @property
    def features(self) -> list[str]:
        """Those that the server has to serve: the declared ones, and with the profile full all that exist."""
        served = {name for name in FEATURES if self.profile == "full" and has_clauses(name)} | {*self.feature}
        if "nodes" in served:
            served.add("redis")
        return [name for name in FEATURES if name in served]

    @property
    def shows_redis(self) -> bool:
        """May the suite look into the server's Redis?"""
        return self.redis is not None or "{redis}" in (self.start or "")

    @property
    def reports(self) -> dict[str, Path]:
        """Kind -> file."""
        files = {kind: getattr(self, kind) for kind in ("json", "junit", "html", "markdown")}
        return {kind: path for kind, path in files.items() if path is not None}

    def why_not(self, clause: Clause) -> str | None:
        """Why a clause does not apply to this server; None if it does."""
        if clause.chapter not in CORE_SECTIONS:
            feature = next(name for name, chapter in FEATURES.items() if chapter == clause.chapter)
            shown = self.profile == "original" and feature == "redis" and self.shows_redis
            if feature not in self.features and not shown:
                return f"the feature {feature} is not declared"
        if self.profile == "original" and not clause.original:
            return "not in the profile original"
        return None


def has_clauses(feature: str) -> bool:
    """Does this version of the suite check the feature?"""
    return any(clause.chapter == FEATURES[feature] for clause in load_spec().clauses)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The options of a run; None stands for those that are not given."""
    for title, options in OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.kind is bool:
                group.add_argument(f"--{option.name}", action="store_true", default=None, help=option.help)
                continue
            group.add_argument(
                f"--{option.name}",
                action="append" if option.kind is list else "store",
                type=str if option.kind is list else option.kind,
                metavar=option.metavar,
                help=option.help,
            )


def read_settings(flags: argparse.Namespace, folder: Path) -> Settings:
    """The settings of the flags and of the folder's chatcheck.toml, if it has one. Raises WrongUse."""
    given = {option.attribute: getattr(flags, option.attribute) for option in _ALL}
    given = {name: value for name, value in given.items() if value is not None}
    values = _read_file(folder / FILE_NAME)
    if "url" in given or "start" in given:  # the other one in the file is of another run
        values.pop("url", None)
        values.pop("start", None)
    settings = Settings(**{**values, **given})
    _check(settings)
    return settings


def nearest(name: str, known: Iterable[str]) -> str:
    """A half-sentence that names the known name nearest to this one, or all if none is near."""
    known = sorted(known)
    found = difflib.get_close_matches(name, known, 1, 0.5)
    if found:
        return f"did you mean {found[0]}?"
    return f"there are {', '.join(known)}" if len(known) < 30 else "chatcheck --list shows all"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WrongUse(f"{path.name}: {error}") from None
    options = {option.name: option for option in _ALL}
    for name in values:
        if name not in options:
            raise WrongUse(f"{path.name}: unknown key {name!r}; {nearest(name, options)}")
    return {
        options[name].attribute: _converted(options[name], value, path.name) for name, value in values.items()
    }


def _converted(option: Option, value: Any, where: str) -> Any:
    """A value from TOML with the type that the flag would have."""
    if option.kind is list:
        items = value if isinstance(value, list) else [value]
        if all(isinstance(item, str) for item in items):
            return items
    elif option.kind is Path and isinstance(value, str):
        return Path(value)
    elif option.kind is float and type(value) is int:
        return float(value)
    elif type(value) is option.kind:
        return value
    raise WrongUse(f"{where}: {option.name}: expected {_KIND_NAMES[option.kind]}, not {value!r}")


def _check(settings: Settings) -> None:
    """Raise WrongUse if the settings contradict themselves or name what does not exist."""
    if settings.profile not in PROFILES:
        _refuse("profile", settings.profile, PROFILES)
    for name in settings.feature:
        if name not in FEATURES:
            _refuse("feature", name, FEATURES)
    for name in settings.only:
        if name not in (ids := [clause.id for clause in load_spec().clauses]):
            _refuse("only", name, ids)
    for option in _ALL:
        value = getattr(settings, option.attribute)
        if option.kind in (int, float) and value is not None and not 0 < value < float("inf"):
            raise WrongUse(f"--{option.name}: expected a number above 0, not {value:g}")
    for kind, path in settings.reports.items():
        check_writable(kind, path)


def check_writable(name: str, path: Path) -> None:
    """Raise WrongUse if a file of this name cannot be written, as far as that can be known before."""
    try:
        os.stat(path)
    except ValueError:  # NUL, or a character that this locale has not
        raise WrongUse(f"--{name}: {str(path)!r}: no file can have this name here") from None
    except OSError:
        pass
    if path.is_dir():
        raise WrongUse(f"--{name}: {path} cannot be written: it is a folder")
    if not path.absolute().parent.is_dir():
        raise WrongUse(f"--{name}: {path} cannot be written: there is no folder {path.parent}")
    real = Path(os.path.realpath(path))
    is_written_to = real.exists() and not real.is_file()  # files are replaced as a whole
    if (is_written_to or real.parent.is_dir()) and not os.access(
        real if is_written_to else real.parent, os.W_OK
    ):
        raise WrongUse(f"--{name}: {path} cannot be written: no permission")


def check_target(settings: Settings) -> None:
    """Raise WrongUse unless the settings name one server that the suite can reach or start."""
    if settings.start is not None and settings.url:
        raise WrongUse(
            "--url and --start exclude each other: the server runs already, or the suite starts it"
        )
    if settings.start is None and not settings.url:
        raise WrongUse(
            "say which server to check:\n"
            "  --url ws://127.0.0.1:9502              one that is running, or\n"
            "  --start 'my-server --port {port}'      one that the suite starts and ends itself\n"
            f"or put url or start into {FILE_NAME} in this folder."
        )
    if settings.start is not None and "{port}" not in settings.start:
        raise WrongUse(
            "--start: the command has to have {port} in it, where the suite fills in a free port to listen on"
        )
    remember(settings.start or "")
    if settings.start is not None and (why := why_not(settings.start)):
        raise WrongUse(f"--start: {why}")
    for url in settings.url:
        try:
            Address.parse(url)
        except ValueError as error:
            raise WrongUse(f"--url {error}") from None
    for path in settings.path:
        if not path.startswith("/") or not path.isprintable() or set(path) & set(" #"):
            raise WrongUse(f"--path {path}: expected a path such as /chat, without spaces and fragment")
    try:
        trust(settings.cafile)
    except OSError as error:
        why = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise WrongUse(f"--cafile {settings.cafile}: {why}") from None
    _check_redis(settings)


def _check_redis(settings: Settings) -> None:
    if settings.redis is not None:
        remember(settings.redis)
        if not settings.redis.isprintable() or " " in settings.redis:
            told = f"--redis {hide_url(settings.redis)}"
            raise WrongUse(f"{told}: a URL has no spaces and control characters; write %20")
        try:
            parse_url(settings.redis)  # type: ignore[no-untyped-call]
        except ValueError:
            raise WrongUse(f"--redis {hide_url(settings.redis)}: expected redis://HOST:PORT") from None
    if "redis" in settings.features and not settings.shows_redis:
        name = "nodes" if "nodes" in settings.features else "redis"
        raise WrongUse(
            f"the feature {name} can only be checked by looking into the server's Redis: "
            "add --redis redis://HOST:PORT, or {redis} to the command of --start"
        )
    its_own = settings.redis is None and "{redis}" in (settings.start or "")
    if its_own and shutil.which("redis-server") is None:
        raise WrongUse(
            "{redis} in --start asks for a Redis of the suite's own, but there is no redis-server in PATH: "
            "install it, or name a running one with --redis"
        )


def _refuse(option: str, value: str, known: Iterable[str]) -> NoReturn:
    raise WrongUse(f"--{option}: there is no {value!r}; {nearest(value, known)}")
