"""Reports to try the writers with: an ordinary one, and one in which a server has said the worst it could."""

from __future__ import annotations

from chatcheck.report.model import CheckResult, ClauseResult, Line, Report, Suite, TargetInfo, count

# What breaks naive writers: NUL and other controls, lone surrogates, noncharacters, the ends of CDATA,
# comments, scripts and code blocks, workflow commands, formulas, right-to-left overrides.
HOSTILE = (
    "\x00\x01\x1b[31m\x7f\x85\ud800\udfff\ufffe\uffff\U0001f642 ]]> --> </script><script>alert(1)</script> "
    "<img src=x onerror=alert(1)> &amp; \" ' ` ``` ~~~~ </details> | \\| %0A%25 "
    "::error::x\n::set-output name=a::b\r\n"
    "\u202egnol\u2028\u2029 {{ ${{ secrets.X }} @everyone #1 **b** [x](javascript:alert(1)) =1+1"
)


def _failed(name: str, verdict: str, said: str, **members: str) -> CheckResult:
    conversation = (
        Line(0.001, "A", 51000, "-", "connect", "connects to / from port 51000"),
        Line(0.002, "A", 51000, "<", "http", "HTTP 101", 101),
        Line(0.003, "A", 51000, ">", "text", '{"type":"msg","to":"bob","body":"psst"}'),
        Line(0.004, "-", None, "-", "note", "the server gets SIGKILL"),
        Line(0.005, "A", 51000, "<", "text", said),
        Line(0.006, "A", 51000, "<", "close", said, 1002),
    )
    return CheckResult(
        f"chatcheck/tests/test_04_msg.py::{name}[{said[:20]}]",
        verdict,
        0.01,
        message=f"expected a reply, got {said}",
        expected=f"a reply {said}",
        got=said,
        fingerprint="a1b2c3d4",
        conversation=conversation,
        replay=f"print({said!r})\n",
        server_log=said,
        **members,
    )


def report(said: str = "nothing", target: str = "example") -> Report:
    """A report with every verdict; `said` stands wherever a server can say something."""
    passed = CheckResult("chatcheck/tests/test_02_transport.py::test_upgrade", "pass", 0.5)
    rows: list[tuple[str, str, str, str, str, tuple[CheckResult, ...]]] = [
        ("WS-1", "MUST", "It MUST accept a handshake on `/`.", "pass", "", (passed,)),
        ("WS-2", "MUST", f"It MUST NOT say {said}.", "fail", "", (passed, _failed("test_a", "fail", said))),
        ("WS-3", "SHOULD", "It SHOULD be quick.", "warn", "", (_failed("test_b", "warn", said),)),
        ("MSG-1", "MUST", "It MUST tell.", "inconclusive", "", (_failed("test_c", "inconclusive", said),)),
        ("MSG-2", "MUST", "It MUST be known.", "known", "", (_failed("test_d", "known", said, known=said),)),
        ("MSG-3", "MUST", "It MUST be right.", "error", "", (_failed("test_e", "error", said),)),
        ("STORE-1", "MUST", "It MUST be stored.", "untested", f"needs --start {said}", ()),
        ("STORE-2", "MAY", "It MAY be more.", "not_applicable", "not in this profile", ()),
    ]
    sections = {"WS": "2.1", "MSG": "4.3", "STORE": "5"}
    clauses = tuple(
        ClauseResult(
            id, sections[id.split("-")[0]], level, sentence, id == "WS-1", verdict, reason or None, checks
        )
        for id, level, sentence, verdict, reason, checks in rows
    )
    return Report(
        suite=Suite("chatcheck", "0.1"),
        spec_version="1.0",
        target=TargetInfo(target, "ws://127.0.0.1:9502", None),
        profile="core",
        features=("original",),
        started="2026-01-02T03:04:05Z",
        duration_s=12.5,
        verdict="not conformant",
        counts=count(clauses),
        clauses=clauses,
        arguments=("--url", "ws://127.0.0.1:9502", "--only", said),
    )
