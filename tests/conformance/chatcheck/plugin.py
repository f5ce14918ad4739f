"""The suite as a pytest plugin: options, markers, fixtures, verdicts, failures that explain themselves."""

from __future__ import annotations

import contextlib
import inspect
import re
import signal
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from chatcheck.address import Address, trust
from chatcheck.claims import claim_only_original, claims, declare_history
from chatcheck.command import why_not
from chatcheck.redis_control import PrivateRedis
from chatcheck.report.model import RED, VERDICTS
from chatcheck.target import Documented, Server, StillListens, StoreUnavailable, Target, Unreachable
from chatcheck.timing import scaled, set_factor
from chatcheck.verdict import NOT_APPLICABLE, UNTESTED, Inconclusive, not_applicable, untested
from chatcheck.workers import Workers

TEST_SECONDS = 10.0
EXIT_NOTHING_CHECKED = 2
EXIT_UNREACHABLE = 3
# What a server does to a check by refusing or breaking a connection: a failure of its own, not of the check.
BROKEN_CONNECTION = (ConnectionError, TimeoutError)
SKIPPED = {"untested": UNTESTED, "not_applicable": NOT_APPLICABLE}

_target_key = pytest.StashKey[Target]()
_summary_key = pytest.StashKey["Summary"]()
server_key = pytest.StashKey[Server]()


class Summary:
    """What became of each clause; filled from reports, so it works with workers as well."""

    def __init__(self) -> None:
        self.verdicts: dict[str, list[str]] = defaultdict(list)
        self.untested: dict[str, set[str]] = defaultdict(set)
        self.warned: list[str] = []

    def add(self, report: pytest.TestReport) -> None:
        """Count a test's report, once for each of its clauses."""
        properties = dict(report.user_properties)
        verdict = properties.get("verdict")
        for clause in str(properties.get("clauses", "")).split() if verdict else []:
            self.verdicts[clause].append(str(verdict))
            if verdict == "untested":
                self.untested[clause].add(str(properties["reason"]))
        if verdict == "warn":
            self.warned.append(f"{properties['clauses']}: {report.nodeid}\n{report.longreprtext}")

    @property
    def n_checked(self) -> int:
        """How many checks came to a verdict."""
        return sum(v not in SKIPPED for verdicts in self.verdicts.values() for v in verdicts)

    def of(self, clause: str) -> str:
        """The verdict on a clause: the worst of its checks'."""
        return min(self.verdicts[clause], key=VERDICTS.index)

    def lines(self) -> Iterator[str]:
        """The summary: how many clauses have which verdict, then the ids of all that did not simply pass."""
        by_verdict: dict[str, list[str]] = defaultdict(list)
        for clause in sorted(self.verdicts, key=_clause_order):
            by_verdict[self.of(clause)].append(clause)
        yield ", ".join(f"{len(by_verdict[v])} {v}" for v in reversed(VERDICTS) if by_verdict[v])
        for verdict in (*RED, "warn"):
            if by_verdict[verdict]:
                yield f"{verdict}: {' '.join(by_verdict[verdict])}"
        for clause in by_verdict["untested"]:
            yield f"untested: {clause} ({'; '.join(sorted(self.untested[clause]))})"
        for clause, reasons in sorted(self.untested.items(), key=lambda item: _clause_order(item[0])):
            if clause not in by_verdict["untested"]:
                yield f"untested in part: {clause} ({'; '.join(sorted(reasons))})"


def _clause_order(clause: str) -> tuple[str, int]:
    family, _, number = clause.partition("-")
    return family, int(number)


# Options, markers, collection


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the suite has to be told about the server under test."""
    group = parser.getgroup("chatcheck", "conformance to the chat protocol")
    group.addoption("--url", action="append", help="ws:// or wss:// URL of a running server; of each node")
    group.addoption("--cafile", type=Path, help="CAs to be trusted for wss:// besides the system's")
    group.addoption("--start", help="command that starts the server; {port} and {redis} are filled in")
    group.addoption("--start-wait", type=float, default=15.0, help="seconds that its start may take (15)")
    group.addoption("--redis", help="redis:// URL of the Redis that the server uses")
    group.addoption("--profile", default="core", help="what the server claims: original, core or full")
    group.addoption("--only", action="append", metavar="ID", help="check only this clause; may be repeated")
    group.addoption("--timeout-factor", type=float, default=1.0, help="multiply all time limits by this")
    group.addoption("--jobs", type=int, default=1, help="so many checks side by side (1)")
    group.addoption("--strict-should", action="store_true", help="a SHOULD that fails, fails the run")
    group.addoption("--feature", action="append", metavar="NAME", help="a feature that the server serves")
    group.addoption("--path", action="append", help="a documented path besides /; may be repeated")
    group.addoption("--message-limit", type=int, default=65536, help="documented limit in bytes (65536)")
    group.addoption("--nesting-limit", type=int, default=512, help="documented limit in levels (512)")
    group.addoption("--device-limit", type=int, help="documented limit of a uid's devices (none)")
    group.addoption("--connections-limit", type=int, help="documented limit of connections (none)")
    group.addoption(
        "--ping-wait",
        type=float,
        help="documented seconds after which a peer that answers no pings is dropped (else untested)",
    )
    group.addoption(
        "--message-wait",
        type=float,
        help="documented seconds after which a message that does not end is refused (else untested)",
    )
    group.addoption(
        "--refresh-wait",
        type=float,
        default=30.0,
        help="documented seconds after which what others deleted from Redis is back (30)",
    )
    group.addoption(
        "--death-wait",
        type=float,
        default=12.0,
        help="documented seconds after which the fds of a server that died count as stale (12)",
    )
    group.addoption(
        "--confirm-wait",
        type=float,
        default=1.0,
        help="documented seconds after which deliveries are followed by a ping with their id (1)",
    )
    group.addoption(
        "--broadcast-wait",
        type=float,
        default=2.0,
        help="documented seconds for which who signs on another server may get a broadcast (2)",
    )
    group.addoption("--history-max", type=int, default=1000, help="documented messages of a uid (1000)")
    group.addoption("--broadcaster", metavar="UID", help="only this uid may broadcast")
    group.addoption("--volatile", action="store_true", help="messages are kept in memory only")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "spec(*ids): the clauses of SPEC.md that this test proves")
    config.addinivalue_line("markers", "needs(*what): 'start', 'redis' or 'redis_control'; untested without")
    config.addinivalue_line("markers", "feature(name): the feature that this test is about")
    config.addinivalue_line("markers", "limit(seconds): the time this test may take (10), times the factor")
    config.addinivalue_line("markers", "waits: this test mostly waits, so it comes early, beside others")
    summary = config.stash[_summary_key] = Summary()
    config.pluginmanager.register(_Bookkeeper(summary))
    config.pluginmanager.register(Workers(config.getoption("jobs")))
    claim_only_original(config.getoption("profile") == "original")
    declare_history("history" in (config.getoption("feature") or ()))
    if config.getoption("timeout_factor") <= 0:
        raise pytest.UsageError("--timeout-factor: expected a number above 0")
    set_factor(config.getoption("timeout_factor"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every check says what it proves; those that wait come first, so that workers make others meanwhile."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()) and not clauses_of(item):
            raise pytest.UsageError(f"{item.nodeid}: no clause; mark it with @pytest.mark.spec")
    if _need_target(items) and not config.option.collectonly:
        _check_options(config)
    _select(config, items, lambda item: any(map(claims, clauses_of(item))) or not clauses_of(item))
    if only := set(config.getoption("only") or ()):
        _select(config, items, lambda item: bool(only.intersection(clauses_of(item))))
    items.sort(key=lambda item: not ("redis_control" in _needs(item) or item.get_closest_marker("waits")))


def _need_target(items: list[pytest.Item]) -> bool:
    return any("target" in getattr(item, "fixturenames", ()) for item in items)


def _run_or_leave(target: Target) -> None:
    """Start the server, if it is the suite's to start; end the run if it, or its Redis, is not ready."""
    try:
        target.ensure_running()
        target.check_store()
    except StoreUnavailable as error:
        pytest.exit(str(error), EXIT_UNREACHABLE)
    except Unreachable as error:
        pytest.exit(f"the server cannot be reached: {error}", EXIT_UNREACHABLE)


def _select(
    config: pytest.Config, items: list[pytest.Item], is_wanted: Callable[[pytest.Item], bool]
) -> None:
    if left_out := [item for item in items if not is_wanted(item)]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_wanted(item)]


def _check_options(config: pytest.Config) -> None:
    """Raise UsageError unless the options name one server."""
    urls, command = config.getoption("url") or [], config.getoption("start")
    if bool(urls) == (command is not None):
        raise pytest.UsageError("say which server to test: --url ws://… or --start 'COMMAND with {port}'")
    if command is not None and "{port}" not in command:
        raise pytest.UsageError("--start: the command has to have {port} in it")
    if command is not None and (why := why_not(command)):
        raise pytest.UsageError(f"--start: {why}")
    cafile = config.getoption("cafile")
    for url in urls:
        try:
            Address.parse(url)
        except ValueError as error:
            raise pytest.UsageError(f"--url {error}") from None
    try:
        trust(cafile)
    except OSError as error:
        raise pytest.UsageError(f"--cafile {cafile}: {error.strerror or error}") from None


def clauses_of(item: pytest.Item) -> list[str]:
    """The ids of the clauses that a test proves."""
    return [str(clause) for mark in item.iter_markers("spec") for clause in mark.args]


def _needs(item: pytest.Item) -> set[str]:
    return {str(what) for mark in item.iter_markers("needs") for what in mark.args}


def _level(item: pytest.Item) -> str:
    """MUST, or SHOULD if that is the key word of all the sentences that the test quotes."""
    doc = inspect.getdoc(getattr(item, "obj", None)) or ""
    return "SHOULD" if re.search(r"\bSHOULD\b", doc) and not re.search(r"\bMUST\b", doc) else "MUST"


# Fixtures


def _make_target(config: pytest.Config) -> Target:
    documented = Documented(
        paths=("/", *(config.getoption("path") or ())),
        message_limit=config.getoption("message_limit"),
        nesting_limit=config.getoption("nesting_limit"),
        device_limit=config.getoption("device_limit"),
        connections_limit=config.getoption("connections_limit"),
        ping_wait=config.getoption("ping_wait"),
        message_wait=config.getoption("message_wait"),
        refresh_wait=config.getoption("refresh_wait"),
        death_wait=config.getoption("death_wait"),
        confirm_wait=config.getoption("confirm_wait"),
        broadcast_wait=config.getoption("broadcast_wait"),
        history_max=config.getoption("history_max"),
        broadcaster=config.getoption("broadcaster"),
        is_volatile=config.getoption("volatile"),
        start_wait=config.getoption("start_wait"),
        features=frozenset(config.getoption("feature") or ()),
    )
    options = config.option
    url, *others = options.url or [None]
    return Target(url, options.start, options.redis, documented, tuple(others), options.cafile)


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Iterator[Target]:
    """The server under test, started if it is the suite's to start."""
    made = _make_target(pytestconfig)
    try:
        if made.can_start:
            _run_or_leave(made)
        yield made
    finally:
        made.destroy()


@pytest.fixture
def server(target: Target, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test, running, with a transcript for this test."""
    for mark in request.node.iter_markers("feature"):
        if mark.args[0] not in target.documented.features:
            not_applicable(f"the feature {mark.args[0]} is not declared")
    needs = _needs(request.node)
    if "start" in needs and not target.can_start:
        untested("needs --start")
    if "redis" in needs and target.redis_url is None:
        untested("needs --redis, or {redis} in --start")
    if "redis_control" in needs and target.redis_control is None:
        untested("needs --start with {redis}")
    try:
        target.ensure_running()
    except Unreachable as error:
        request.session.shouldstop = "the server cannot be reached any more"
        raise AssertionError(f"the server cannot be reached any more: {error}") from None
    seen = Server(target)
    request.node.stash[server_key] = seen
    yield seen
    seen.release()


@pytest.fixture
def redis_control(server: Server) -> PrivateRedis:
    """The suite's own Redis, for tests that take it away."""
    return server.redis_control


# Running, verdicts, reports


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """A server that runs already is looked for once, before there are workers: later it has died."""
    options = session.config.option
    if options.url is not None and _need_target(session.items) and not options.collectonly:
        target = _make_target(session.config)
        try:
            _run_or_leave(target)
        finally:
            target.destroy()
    return (yield)


@contextlib.contextmanager
def _a_free_port() -> Iterator[None]:
    """What --start has left on its port ends the run: it would be taken for the next server."""
    try:
        yield
    except StillListens as error:
        pytest.exit(str(error), EXIT_UNREACHABLE)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with _a_free_port():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    with _a_free_port():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """End a test that takes too long, and let none pass that has ended the server."""
    mark = item.get_closest_marker("limit")
    seconds = scaled(float(mark.args[0]) if mark else TEST_SECONDS)

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise Inconclusive(f"the test took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with _a_free_port():
            result = yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    server = item.stash.get(server_key, None)
    if server is not None:
        server.assert_alive()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report a verdict, and a failure all that explains it."""
    report = yield
    clauses = clauses_of(item)
    if not clauses or (call.when != "call" and report.passed):
        return report
    verdict = _verdict(item, call, report)
    report.user_properties += [("clauses", " ".join(clauses)), ("verdict", verdict)]
    if verdict in SKIPPED:
        report.user_properties.append(("reason", _skip_reason(report).removeprefix(SKIPPED[verdict])))
    if report.failed:
        _explain(item, report)
    if verdict == "warn":
        report.outcome = "passed"
    return report


def _verdict(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    if report.passed:
        return "pass"
    if report.skipped:
        reason = _skip_reason(report)
        return next((name for name, prefix in SKIPPED.items() if reason.startswith(prefix)), "error")
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, Inconclusive):
        return "inconclusive"
    if not isinstance(error, (AssertionError, *BROKEN_CONNECTION)):
        return "error"
    if _level(item) == "SHOULD" and not item.config.getoption("strict_should"):
        return "warn"
    return "fail"


def _skip_reason(report: pytest.TestReport) -> str:
    where_and_why: Any = report.longrepr
    return str(where_and_why[2]).removeprefix("Skipped: ") if isinstance(where_and_why, tuple) else ""


def _explain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the clause's sentence, the whole conversation and the server's log to a failure."""
    doc = inspect.getdoc(getattr(item, "obj", None)) or "(no docstring)"
    report.sections.insert(0, ("clause", doc))
    server = item.stash.get(server_key, None)
    if server is not None:
        report.sections.append(("conversation", server.transcript.render()))
        if log := server.log().strip():
            report.sections.append(("the end of the server's log", log))


class _Bookkeeper:
    """Brings reports to the summary; an object, for that hook is not told the config."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._summary.add(report)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Name the verdicts that pytest does not know."""
    verdict = dict(getattr(report, "user_properties", ())).get("verdict")
    if verdict in SKIPPED:
        return verdict.replace("_", " "), verdict[0], verdict.upper()
    if verdict == "warn":
        return "warned", "w", "WARN"
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run that checked nothing is no success."""
    summary = session.config.stash[_summary_key]
    if summary.verdicts and summary.n_checked == 0 and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = EXIT_NOTHING_CHECKED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What became of the clauses."""
    summary = config.stash[_summary_key]
    if not summary.verdicts:
        return
    terminalreporter.section("clauses")
    for warned in summary.warned:
        terminalreporter.write_line(f"warning: {warned}")
    for line in summary.lines():
        terminalreporter.write_line(line)
    if summary.n_checked == 0:
        terminalreporter.write_line("nothing was checked")
