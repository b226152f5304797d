"""The schema of `result.zarr`, opening a result, export to other formats."""

from invae.results.contents import info
from invae.results.export import Format, export
from invae.results.kind import Field
from invae.results.reading import open_result, validate
from invae.results.schema import REQUIRED_GROUPS, SCHEMA

__all__ = [
    "REQUIRED_GROUPS",
    "SCHEMA",
    "Field",
    "Format",
    "export",
    "info",
    "open_result",
    "validate",
]
