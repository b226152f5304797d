"""A headless browser, and pages with the interactive view."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from docs import browser
from docs.browser import Page
from invae.report.explorer.payload import payload
from invae.report.page import page as written
from invae.results import open_result
from invae.storage import store
from tests.invae.conftest import Run

READY = "document.querySelector('#explorer')?.dataset.ready === '1'"


def data_of(result: Mapping[str, xr.Dataset]) -> Any:
    """The data of the view, which the result has."""
    data = payload(result)
    assert data is not None
    return data


def write_page(result: Mapping[str, xr.Dataset], run: Run, target: Path) -> Path:
    """A report without figures."""
    receipt = store.read_receipt(run.store("analyse"))
    assert receipt is not None
    data = data_of(result)
    text = written(result, {}, [], title="page", receipts=[receipt], explorer=data)
    target.write_text(text, encoding="utf-8", newline="\n")
    return target


@pytest.fixture(scope="session")
def chromium() -> Iterator[Page]:
    """One page of a browser for all tests."""
    if browser.program() is None:
        pytest.skip("Chromium is not installed on this machine")
    with browser.page() as page:
        page.watch()
        page.size(1200, 1000)
        yield page


def opened(page: Page, path: Path) -> Page:
    """The browser with a page whose view is ready and in the window."""
    page.forget()
    page.open(path.as_uri())
    page.wait_until(f"location.href.endsWith('{path.name}') && {READY}")
    page.evaluate("document.querySelector('#explorer').scrollIntoView()")
    page.settle()
    return page


@pytest.fixture(scope="session")
def walls_page(small_run, tmp_path_factory) -> Path:
    """The view of a PFM series of four frames."""
    result = open_result(small_run.store("analyse"))
    return write_page(result, small_run, tmp_path_factory.mktemp("walls") / "walls.html")


@pytest.fixture
def walls(chromium, walls_page) -> Iterator[Page]:
    """The view of the series, freshly opened; whatever a test does, the page says and asks for nothing."""
    yield opened(chromium, walls_page)
    assert chromium.messages() == []
    assert [one for one in chromium.requests() if not one.startswith(("file:", "blob:"))] == []
