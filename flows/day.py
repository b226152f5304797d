"""The page of one day in the Prefect UI."""

from datetime import datetime, timedelta
from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.service.daily_page import page_of, summarise
from invae.storage.location import as_path
from tasks.artifacts import key_of, show_markdown


def sentence() -> str:
    """The name of a run of `day`."""
    values = flow_run.parameters
    return f"page of {_day(values['days_ago']).date()}, {as_path(values['out']).name}"


@flow(flow_run_name=sentence)
def day(out: str, days_ago: Annotated[int, Field(ge=0, le=3650)] = 0) -> str:
    """Write the page of one day to the UI: recordings received, done and quarantined, GPU hours, reports.

    Args:
        out: output folder of the recordings.
        days_ago: 0 for today so far, in local time; 1 for yesterday, as in a schedule after midnight.
    """
    summary = summarise(as_path(out), _day(days_ago).date())
    page = page_of(summary)
    key = key_of("day", summary.day.isoformat())
    show_markdown(key, page, description=f"Page of {summary.day.isoformat()}: {out}")
    return page


def _day(days_ago: int) -> datetime:
    return datetime.now().astimezone() - timedelta(days=days_ago)
