"""Choices from a table instead of a type: validated with the configuration, listed in its schema and in the error."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class OneOf:
    """A string that is one of some names; the names are looked up at every validation."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"enum": list(self._names()), "type": "string"}

    def check(self, value: Any) -> str:
        """The value itself, if it is one of the names.

        Raises:
            PydanticKnownError: If it is none of them; the error lists all names and the nearest.
        """
        names = list(self._names())
        if value in names:
            return value
        *first, last = (repr(name) for name in names)
        nearest = difflib.get_close_matches(str(value), names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        expected = f"{', '.join(first)} or {last}{hint}" if first else f"{last}{hint}"
        raise PydanticKnownError("literal_error", {"expected": expected})
