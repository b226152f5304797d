"""The page of the day."""

from datetime import datetime, timedelta
from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.service.daily_page import look_back, page_of
from invae.storage.location import as_path
from tasks.artifacts import key_of, show_markdown


def sentence() -> str:
    """The name of a run of `day`."""
    values = flow_run.parameters
    return f"page of {_day(values['days_ago']).date()}, {as_path(values['out']).name}"


@flow(flow_run_name=sentence)
def day(out: str, days_ago: Annotated[int, Field(ge=0, le=3650)] = 0) -> str:
    """Write what happened in an output folder on one day as a page in the UI: in, done, set aside, GPU hours, reports.

    Args:
        out: folder of the recordings.
        days_ago: 0 is today so far, in the time of this machine; 1 is yesterday, as a schedule after midnight wants it.
    """
    found = look_back(as_path(out), _day(days_ago).date())
    page = page_of(found)
    key = key_of("day", found.day.isoformat())
    show_markdown(key, page, description=f"Page of {found.day.isoformat()}: {out}")
    return page


def _day(days_ago: int) -> datetime:
    return datetime.now().astimezone() - timedelta(days=days_ago)
