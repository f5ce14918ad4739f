"""Flags, chatcheck.toml, profiles and features."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from chatcheck.clauses import Clause, load_spec
from chatcheck.settings import (
    CORE_SECTIONS,
    FEATURES,
    Settings,
    WrongUse,
    add_flags,
    check_target,
    read_settings,
)


def read(folder: Path, *words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_settings(parser.parse_args(words), folder)


def clause(number: str) -> Clause:
    return next(clause for clause in load_spec().clauses if clause.id == number)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "chatcheck.toml").write_text(
        'start = "serve {port}"\nprofile = "full"\nonly = "MSG-1"\nping-wait = 3\nmessage-limit = 7\n'
        'strict = true\njson = "report.json"\n'
    )
    settings = read(tmp_path, "--ping-wait", "1.5", "--only", "MSG-2", "--only", "MSG-3")

    assert settings == Settings(
        start="serve {port}",
        profile="full",
        only=["MSG-2", "MSG-3"],
        ping_wait=1.5,
        message_limit=7,
        strict=True,
        json=Path("report.json"),
    )


def test_a_url_on_the_command_line_replaces_the_start_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "chatcheck.toml").write_text('start = "serve {port}"\n')
    settings = read(tmp_path, "--url", "ws://a:1", "--url", "ws://b:2")

    assert (settings.start, settings.url) == (None, ["ws://a:1", "ws://b:2"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pingwait = 1", "unknown key 'pingwait'; did you mean ping-wait?"),
        ("ping-wait = '1'", "ping-wait: expected a number, not '1'"),
        ("message-limit = 1.5", "message-limit: expected a whole number"),
        ("message-limit = true", "message-limit: expected a whole number"),
        ("only = [1]", "only: expected a string, or a list of strings"),
        ("strict = 1", "strict: expected true or false"),
        ("profile = 'coer'", "there is no 'coer'; did you mean core?"),
        ("feature = 'reddis'", "there is no 'reddis'; did you mean redis?"),
        ("only = 'MSG-99'", "there is no 'MSG-99'; did you mean MSG-9?"),
        ("timeout-factor = 0", "--timeout-factor: expected a number above 0"),
        ("timeout-factor = nan", "--timeout-factor: expected a number above 0"),
        ("html = 'no/such/folder.html'", "there is no folder no/such"),
        ("url = ", "chatcheck.toml: "),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "chatcheck.toml").write_text(text)

    with pytest.raises(WrongUse) as caught:
        read(tmp_path)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Settings(), "say which server to check"),
        (Settings(url=["ws://x"], start="x {port}"), "exclude each other"),
        (Settings(start="x"), "{port}"),
        (Settings(start="x {port} '"), "No closing quotation"),
        (Settings(url=["http://x"]), "expected ws://"),
        (Settings(url=["ws://x"], redis="localhost"), "expected redis://"),
        (Settings(url=["ws://x"], redis="u:geheim@h:6379"), r"--redis \*\*\*@h:6379: expected redis://"),
        (
            Settings(url=["ws://x"], redis="redis://:ge heim@h"),
            r"--redis redis://\*\*\*@h: a URL has no spaces",
        ),
        (Settings(url=["ws://x"], feature=["redis"]), "add --redis"),
        (Settings(url=["ws://x"], profile="full"), "add --redis"),
    ],
)
def test_a_target_that_cannot_be_is_refused_with_the_remedy(settings: Settings, says: str) -> None:
    with pytest.raises(WrongUse, match=says):
        check_target(settings)


def test_a_target_that_can_be_is_not_refused() -> None:
    check_target(Settings(url=["ws://x"], redis="redis://x", feature=["redis"]))


def test_the_profile_and_the_features_say_which_clauses_apply() -> None:
    core, original, full = Settings(), Settings(profile="original"), Settings(profile="full")
    shown = Settings(profile="original", redis="redis://x")

    assert core.why_not(clause("MSG-1")) is None
    assert core.why_not(clause("COMPAT-2")) is None
    assert core.why_not(clause("STORE-1")) == "the feature redis is not declared"
    assert Settings(feature=["redis"]).why_not(clause("STORE-1")) is None
    assert full.why_not(clause("STORE-1")) is None
    assert full.features == ["redis", "broadcast", "history", "nodes"]
    assert Settings(feature=["nodes"]).features == ["redis", "nodes"]
    assert Settings(feature=["history"]).why_not(clause("CAST-1")) == "the feature broadcast is not declared"
    for one in load_spec().clauses:
        if one.chapter in CORE_SECTIONS:
            assert (original.why_not(one) is None) == one.original
        elif one.chapter == FEATURES["redis"]:
            assert original.why_not(one) == "the feature redis is not declared"
            assert (shown.why_not(one) is None) == one.original
        else:
            assert "is not declared" in (shown.why_not(one) or "")
            assert full.why_not(one) is None
