"""The command of --start. It is run without a shell, so what only a shell understands is refused, with the
way out.
"""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass

_WAY_OUT = "--start is run without a shell. Leave that to one: --start 'sh -c \"exec … {port}\"'"
_BUILTINS = {".", ":", "!", "{", "alias", "case", "cd", "eval", "exec", "exit", "export", "for", "if", "set"}
_BUILTINS |= {"source", "trap", "ulimit", "umask", "unset", "until", "while"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
# Operators, where a shell sees them: words of their own, or at the end of one.
_OPERATOR = re.compile(r"(&&?|\|[|&]?|;+|\(|\)|[0-9]*[<>].*|&>.*)|.+[;&|]")
_EXPANSION = re.compile(r"\$[A-Za-z_{(0-9@*#?$!-]|`")


@dataclass(frozen=True)
class _Word:
    text: str  # without quotes, as the program gets it
    bare: str  # what is not quoted of it; quoted characters are NUL


def why_not(command: str) -> str | None:
    """Why this command cannot be started as it is; None if it can."""
    if "\0" in command:
        return "a command has no NUL"
    try:
        texts = shlex.split(command)
    except ValueError as error:
        return str(error)
    words = [_Word(text, bare) for text, bare in zip(texts, _bare_words(command), strict=True)]
    if not words or not words[0].text:
        return "it names no program"
    first = words[0]
    if found := _ASSIGNMENT.match(first.text):
        return (
            f"{found[0]}… is no program, but how a shell sets a variable, and --start is run without one. "
            f"Write: env {command.strip()}"
        )
    if first.bare in _BUILTINS or first.bare.startswith("("):
        return f"{first.text} is no program, but a shell's own word. {_WAY_OUT}"
    for word in words:
        if what := _what_only_a_shell_does(word):
            return f"{word.text} {what}. {_WAY_OUT}"
    return None


def _what_only_a_shell_does(word: _Word) -> str | None:
    if _OPERATOR.fullmatch(word.bare):
        return "would be an argument of the program, for only a shell joins and redirects commands"
    if _EXPANSION.search(word.bare):
        return "would not be replaced, which only a shell does; if it is meant as it is, quote it"
    if re.match(r"~[A-Za-z0-9_-]*(/|$)", word.bare):
        return "would not become a home folder's name, for ~ is a shell's"
    if re.search(r"[*?[]", word.bare) and glob.glob(word.text):
        return "would not become the names of files, for only a shell looks for them"
    return None


def _bare_words(command: str) -> list[str]:
    """What is not quoted of each word, by the rules of shlex.split()."""
    words: list[str] = []
    current: str | None = None
    quote = ""
    characters = iter(command)
    for c in characters:
        if quote:
            if c == "\\" and quote == '"':
                next(characters, "")
            if c == quote:
                quote = ""
            else:
                current = f"{current or ''}\0"
        elif c in "'\"":
            quote, current = c, current or ""
        elif c == "\\":
            next(characters, "")
            current = f"{current or ''}\0"
        elif c in " \t\r\n":
            if current is not None:
                words.append(current)
            current = None
        else:
            current = (current or "") + c
    return words if current is None else [*words, current]
