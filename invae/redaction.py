"""Masking of passwords and keys in addresses, settings and commands before text is written."""

import os
import re
from collections.abc import Mapping
from typing import Any

from invae.errors import visible

HIDDEN = "***"

PLACES = ("PWD", "OLDPWD")
"""Variables in which a shell keeps its folders; elsewhere `pwd` names a password."""
SHORTEST = 6
"""Fewest characters of a masked secret of the environment; shorter ones are ordinary words."""

_NAME = (
    r"(?:(?:access|account|api|private|secret|shared)[_-]?key(?:[_-]?id)?|auth[_-]?string"
    r"|authori[sz]ation|credentials?|passphrase|passw(?:or)?d|pwd|secret|\bsig\b|signature|token)"
)
_NAMED = re.compile(_NAME, re.I)
_USER = re.compile(  # a key may contain slashes, and a port is no password
    r"(?P<kept>\b[a-z][a-z0-9+.-]+:/{1,2})(?!\*\*\*@)"  # a path has lost one of the slashes
    r"(?:[^\s/?#:'\"<>]*:(?!\d+/)[^\s?#'\"<>@]*|[^\s/?#'\"<>]*)@",
    re.I,
)
_BEARER = re.compile(r"(?P<kept>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.I)
_VALUE = re.compile(
    rf"(?P<kept>(?:\b|(?<=_)){_NAME}['\"]?(?:=|\s*:)\s*['\"]?)(?!\s|bearer |basic |\*\*\*)[^\s&'\",;}}\]]+",
    re.I,
)


def redacted(text: str) -> str:
    """The text with secrets masked: everything that looks like one, and those of this process's environment."""
    for value in _environment_secrets():
        text = text.replace(value, HIDDEN)
    for pattern in (_BEARER, _VALUE):
        text = pattern.sub(rf"\g<kept>{HIDDEN}", text)
    return _USER.sub(rf"\g<kept>{HIDDEN}@", text)


def one_line(text: str) -> str:
    """The text in one line, with secrets masked and without control characters."""
    return visible(redacted(" ".join(text.split())))


def holds_secret(text: str) -> bool:
    """Whether an address or a setting contains a password, key or signature."""
    return any(pattern.search(text) for pattern in (_USER, _BEARER, _VALUE))


def redacted_json(values: Any) -> Any:
    """JSON values with secrets masked, in text and under names such as `password`."""
    if isinstance(values, str):
        return redacted(values)
    if isinstance(values, Mapping):
        return {
            name: HIDDEN
            if isinstance(value, str) and value and _NAMED.search(str(name))
            else redacted_json(value)
            for name, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [redacted_json(value) for value in values]
    return values


def _environment_secrets() -> list[str]:
    """Values of variables with secret names, and the password of `user:password`; longest first."""
    secrets: set[str] = set()
    for name, value in os.environ.items():
        if _NAMED.search(name) and name not in PLACES:
            secrets |= {value, value.partition(":")[2]}
    return sorted((value for value in secrets if len(value) >= SHORTEST), key=len, reverse=True)
