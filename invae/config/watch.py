"""Settings of the watcher of a folder for new recordings."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from invae.config.schema import Config

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class WatchConfig(Config):
    """A folder into which an instrument writes, and how its recordings are processed."""

    folder: str
    """Folder in which recordings arrive; its subfolders are watched too."""
    out: str
    """Folder of the results, one subfolder per recording; the state of the watcher is in its subfolder `.invae`."""
    config: str = "pfm-walls"
    """Configuration of the runs: NAME or NAME@VERSION, optionally followed by `key=value`, or a file."""
    settle: Seconds = 5.0
    """Time for which the sizes and times of a recording's files must be unchanged before it is processed [s]."""
    interval: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """Time between scheduled scans [s]."""
    glances: bool = True
    """Whether a continuously running command also looks at the folder every second, so that new files are seen at once. Without it
    only the scheduled scans see them, which spares a network folder with very many files."""
    series: str | None = None
    """Rule for numbered series: a regular expression for whole file names. Files with the same group `series`
    are one recording, ordered by name. For example `(?P<series>.+)_\\d+\\.ibw`."""
    series_settle: Seconds = 300.0
    """Time without new or changed files after which a series is complete [s]."""
    suffixes: tuple[Annotated[str, Field(pattern=r"^\.[^./\\]+$")], ...] = ()
    """Extensions of recordings, such as `.ibw`; all readable formats when empty."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Number of runs that may fail because of the machine before the recording is quarantined."""
    backoff: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Wait before a run is repeated that failed because of the machine; doubled each time, an hour at most [s]."""

    @field_validator("series")
    @classmethod
    def _is_a_rule(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        if "series" not in groups:
            raise ValueError(
                "needs a group (?P<series>…) that is the same in all files of a series"
            )
        return value

    @field_validator("suffixes")
    @classmethod
    def _in_small_letters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(suffix.lower() for suffix in value)
