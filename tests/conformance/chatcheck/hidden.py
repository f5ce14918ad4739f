"""Secrets that the suite is given in URLs: sent where they belong, and never printed.

A URL is printed with `***` for its user and password, and for the values of its query. Long ones are also
known by themselves, for a server may repeat them in an answer or in its log.
"""

from __future__ import annotations

import base64
import contextlib
import re
from urllib.parse import unquote, urlsplit

MASK = "***"
_PASSWORD_MIN, _VALUE_MIN = 3, 6  # characters; what is shorter may stand anywhere by chance
_LONG = 8  # what is shorter has to be a word of its own
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
# A password with a slash: what looks like a port is none.
_ODD_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#@]*:(?![0-9]*(?:[/?#\s]|$))\S*@", re.IGNORECASE)
# Punctuation behind a URL is not its query's.
_SCHEME = re.compile(
    r"(\s*(?:[a-z][a-z0-9+.-]*:/+|(?:wss?|https?|rediss?|unix):|/+)?)(.*)", re.IGNORECASE | re.DOTALL
)
_QUERY = re.compile(
    r"((?:wss?|rediss?|unix)://[^\s?\"'<>]*\?)([^\s\"'<>]+?)(?=[:;,.)]*(?:[\s\"'<>]|$))", re.IGNORECASE
)

_known: list[re.Pattern[str]] = []


def hide(text: str) -> str:
    """The text without the secrets of URLs in it, and without those that remember() was told."""
    if "://" in text:
        text = _USER.sub(rf"\1{MASK}@", text)
        text = _ODD_USER.sub(rf"\1{MASK}@", text)
        text = _QUERY.sub(lambda found: found[1] + hide_query(found[2]), text)
    for secret in _known:
        text = secret.sub(MASK, text)
    return text


def hide_url(url: str) -> str:
    """A URL that cannot be used, wherever its secrets are: rather too much of it is hidden."""
    begin, host = _SCHEME.fullmatch(url).groups()  # type: ignore[union-attr] # it matches everything
    _, at, host = host.rpartition("@")
    host, question_mark, query = host.partition("?")
    shown = f"{begin}{MASK if at else ''}{at}{host}{question_mark}{hide_query(query)}"
    return hide(shown)


def hide_query(query: str) -> str:
    """A URL's query: names are shown, values are not."""
    parts = [part.partition("=") for part in query.split("&")]
    return "&".join(f"{name}={MASK}" if equals else name and MASK for name, equals, _ in parts)


def basic(user: str, password: str) -> str:
    """The value of the header Authorization."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def remember(text: str) -> None:
    """Hide the secrets of the URLs in this text wherever they are met from now on."""
    for url in _URL.findall(text):
        with contextlib.suppress(ValueError):  # an unusable URL has none
            _remember(url)


def _remember(url: str) -> None:
    parts = urlsplit(url)
    user, password = parts.username or "", parts.password or ""
    secrets = {password, unquote(password)} if len(password) >= _PASSWORD_MIN else set()
    if not password and len(user) >= _LONG:  # a key in the place of a name
        secrets |= {user, unquote(user)}
    if user or password:
        secrets.add(basic(unquote(user), unquote(password)).partition(" ")[2])
    values = [part.partition("=")[2] or part for part in parts.query.split("&")]
    secrets |= {value for raw in values for value in (raw, unquote(raw)) if len(value) >= _VALUE_MIN}
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) < _LONG:
            pattern = rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"
        if pattern not in [known.pattern for known in _known]:
            _known.append(re.compile(pattern))


def forget() -> None:
    """Know no secrets any more."""
    _known.clear()
