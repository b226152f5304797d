"""What `result.zarr` holds: names, dims and units; how it is checked, described and handed to other people's tools."""

from invae.results.contents import info
from invae.results.export import Format, export
from invae.results.reading import open_result, validate
from invae.results.schema import REQUIRED_GROUPS, SCHEMA, Field

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
