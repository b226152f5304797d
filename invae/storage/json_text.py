"""JSON that was written by this package or somebody else: whatever is wrong with it is a `ValueError`."""

import json
from typing import Any


def parsed(content: bytes | str) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: If it is no JSON, not UTF-8, or nested too deeply; Python raises another error for nesting.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error


def parsed_object(content: bytes | str) -> dict[str, Any]:
    """The fields of a JSON text that must be an object.

    Raises:
        ValueError: If it is not.
    """
    values = parsed(content)
    if not isinstance(values, dict):
        raise ValueError(f"it holds {type(values).__name__} instead of fields")
    return values
