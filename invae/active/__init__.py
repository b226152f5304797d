"""Active measurement: which site to measure next, with which instrument, and when to stop."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invae.active.search import Search as Search

_HOMES = {"Search": "invae.active.search"}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'invae.active' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
