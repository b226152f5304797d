"""What is watched for new recordings, and how patiently."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from invae.config.schema import Config

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class WatchConfig(Config):
    """A folder into which an instrument writes, and what becomes of the recordings in it."""

    folder: str
    """Where recordings arrive; folders in it are watched as well."""
    out: str
    """Folder in which every recording gets its own; `.invae` in it holds what the watcher knows."""
    config: str = "pfm-walls"
    """Configuration of the runs: NAME, NAME@VERSION, either with `key=value` behind it, or a file."""
    settle: Seconds = 5.0
    """A recording is taken when sizes and times of its files have been still for so long [s]."""
    interval: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """Time between scheduled scans [s]."""
    glances: bool = True
    """Whether a command that stays also looks at the folder every second: what arrives is seen at once then. Without, only
    scans see it, which spares a network folder with very many files."""
    series: str | None = None
    """Rule for numbered series: a regular expression for whole names of files; those whose group `series`
    is equal are one recording, ordered by name. For example `(?P<series>.+)_\\d+\\.ibw`."""
    series_settle: Seconds = 300.0
    """A series is complete when no file of it has come or changed for so long [s]."""
    suffixes: tuple[Annotated[str, Field(pattern=r"^\.[^./\\]+$")], ...] = ()
    """Which files are recordings, such as `.ibw`; all that can be read when empty."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Runs that a failing machine may cost a recording before it is set aside."""
    backoff: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Wait before a run that the machine failed is tried again; doubled each time, an hour at most [s]."""

    @field_validator("series")
    @classmethod
    def _is_a_rule(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from error
        if "series" not in groups:
            raise ValueError("needs a group (?P<series>…) that is equal in all files of a series")
        return value

    @field_validator("suffixes")
    @classmethod
    def _in_small_letters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(suffix.lower() for suffix in value)
