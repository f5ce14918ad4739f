"""What only a shell understands in --start is told, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatcheck.command import why_not


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("PORT={port} my-server", "PORT=… is no program"),
        ("A=1 PORT={port} my-server", "Write: env A=1 PORT={port} my-server"),
        ("cd d && my-server {port}", "cd is no program"),
        ("cd d; my-server {port}", "cd is no program"),
        ("exec my-server {port}", "exec is no program"),
        ("source venv/bin/activate && my-server {port}", "source is no program"),
        (". ./env && my-server {port}", ". is no program"),
        ("(my-server {port})", "is no program"),
        ("my-server {port} && echo", "&& would be an argument"),
        ("my-server {port} || true", "|| would be an argument"),
        ("my-server {port} | tee log", "| would be an argument"),
        ("my-server {port} |& tee log", "|& would be an argument"),
        ("my-server {port} &", "& would be an argument"),
        ("make; my-server {port}", "make; would be an argument"),
        ("my-server {port} > log", "> would be an argument"),
        ("my-server {port} >log", ">log would be an argument"),
        ("my-server {port} 2>&1", "2>&1 would be an argument"),
        ("my-server {port} < input", "< would be an argument"),
        ("my-server {port} &>log", "&>log would be an argument"),
        ("$HOME/my-server {port}", "$HOME/my-server would not be replaced"),
        ("my-server --port {port} --config=${HOME}/c", "would not be replaced"),
        ("my-server {port} $(pwd)", "would not be replaced"),
        ("my-server {port} `pwd`", "would not be replaced"),
        ("~/my-server {port}", "~/my-server would not become"),
        ("my-server {port} ~", "~ would not become"),
        ("my-server {port} ~me/config", "~me/config would not become"),
        ("my-server {port} 'open", "No closing quotation"),
        ("my-server {port} \\", "No escaped character"),
        ("my-server {port}\0", "no NUL"),
        ("'' {port}", "names no program"),
        ("", "names no program"),
    ],
)
def test_what_only_a_shell_understands_is_told(command: str, says: str) -> None:
    why = why_not(command)

    assert why is not None
    assert says in why


@pytest.mark.parametrize(
    "command",
    [
        "my-server --port {port} --redis {redis}",
        "env PORT={port} my-server",
        "sh -c 'cd d && PORT={port} exec my-server'",
        'sh -c "cd d; exec my-server {port} >log 2>&1 | cat"',
        "sh -c 'exec $HOME/my-server {port}'",
        'bash -c "exec ~/my-server $(pwd) {port}"',
        "my-server {port} 'a && b' '|' \\> \"$\" '$HOME' \\$HOME",
        "my-server {port} --url=http://h/?a=b&c=d;e",
        "my-server --listen *:{port} --pattern [a-z]*:x --what ?",
        "my-server {port} --price 5$ --to a~b --dir=./~",
        "my-server {port} a=b X=1 cd exec",
        "./cd {port}",
        "node -e 'a => b; c && d' {port}",
        "  my-server   {port}  ",
        "my-server {port} '' \"\"",
        "a\\ b/my-server {port}",
    ],
)
def test_a_command_that_needs_no_shell_is_taken(command: str) -> None:
    assert why_not(command) is None


def test_a_pattern_of_files_is_told_where_a_shell_would_find_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jar").write_text("")

    assert "names of files" in (why_not("java -jar *.jar {port}") or "")
    assert why_not("java -jar '*.jar' {port}") is None
    assert why_not("java -jar *.zip {port}") is None
