"""Passwords and keys in addresses, settings and commands are masked before text is written."""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

PLACES = ("PWD", "OLDPWD")
"""Variables that a shell keeps its folders in, whatever `pwd` means elsewhere."""
SHORTEST = 6
"""Secrets of the environment with fewer characters are ordinary words, and are left where they stand."""

_NAME = (
    r"(?:(?:access|account|api|private|secret|shared)[_-]?key(?:[_-]?id)?|auth[_-]?string"
    r"|authori[sz]ation|credentials?|passphrase|passw(?:or)?d|pwd|secret|\bsig\b|signature|token)"
)
_NAMED = re.compile(_NAME, re.I)
_USER = re.compile(  # a key may have slashes in it, and a port is no password
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
    """The text without what looks like a secret, and without the secrets of this process's environment."""
    for value in _of_the_environment():
        text = text.replace(value, HIDDEN)
    for pattern in (_BEARER, _VALUE):
        text = pattern.sub(rf"\g<kept>{HIDDEN}", text)
    return _USER.sub(rf"\g<kept>{HIDDEN}@", text)


def holds_secret(text: str) -> bool:
    """Whether an address or a setting has a password, key or signature in it."""
    return any(pattern.search(text) for pattern in (_USER, _BEARER, _VALUE))


def redacted_json(values: Any) -> Any:
    """JSON values without secrets, in text and under names such as `password`."""
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


def _of_the_environment() -> list[str]:
    """Values of variables whose names say that they are secret, and the password of `user:password`; longest first."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _NAMED.search(name) and name not in PLACES:
            found |= {value, value.partition(":")[2]}
    return sorted((value for value in found if len(value) >= SHORTEST), key=len, reverse=True)
