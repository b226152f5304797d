"""Where the work runs."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config


class ComputeConfig(Config):
    """Where the work runs. These settings change no result and are in no hash."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the models; auto uses the GPU if there is one."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Number of blocks processed, or networks trained, in parallel; the number of cores when empty."""
    scheduler: str = "threads"
    """Dask scheduler: `threads`, `processes` (a cluster on this machine) or the address of a scheduler."""
