"""Every kind of report and the live page as a browser shows them: pictures of the page, no spilled text, no pale or empty image."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs import browser
from docs.browser import Page
from tests.flows.test_explore import TOKEN, served
from tests.invae.conftest import (  # noqa: F401
    atom_run,
    card_run,
    conditional_run,
    dense_run,
    pair_run,
    scan_run,
    single_run,
    small_run,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed"),
]
RUNS = ("small_run", "single_run", "card_run", "conditional_run", "atom_run", "dense_run", "scan_run", "pair_run")  # fmt: skip
READY = "document.querySelector('#explorer')?.dataset.ready === '1'"
WIDTHS = (1200, 420)
"""Of a desktop and of a telephone [px]."""
LEAST_WIDTH = 300
"""Of an image on the desktop [px]."""
LEAST_SPREAD = 60
"""Grey levels between the darkest and the brightest hundredth of an image."""
LEAST_INK = 0.02
"""Share of the pixels of an image that are no paler than `PALE`."""
PALE = 200

SPILLED = """
JSON.stringify([...document.querySelectorAll('main *')].filter(one => {
    const hasText = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!hasText || !one.getClientRects().length || one.closest('pre, .wide, .spoken')) return false;
    const inner = one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline';
    return inner || one.getBoundingClientRect().right > innerWidth + 1;
}).map(one => one.tagName + ': ' + one.textContent.trim().slice(0, 60)))
"""
"""Elements whose text is wider than they are, or than the window."""


FIGURES = """
JSON.stringify([...document.querySelectorAll('main > section > figure[id]')].map(one => one.id))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Folder of the pictures; that of the environment variable SCREENSHOTS keeps them."""
    kept = os.environ.get("SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("pictures")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def window() -> Iterator[Page]:
    with browser.page() as page:
        page.watch()
        yield page


def check_layout(page: Page) -> None:
    """No text is wider than its box, on a desktop and on a telephone, and the page does not scroll to the side."""
    for width in reversed(WIDTHS):
        page.size(width, 900)
        page.settle()
        assert json.loads(page.evaluate(SPILLED)) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def check_contrast(image: Image.Image, name: str) -> None:
    """The image is neither empty nor washed out. The latent plane has few dots on white."""
    least = 0.1 * LEAST_INK if name == "#x-plane" else LEAST_INK
    grey = np.asarray(image.convert("L"))
    dark, bright = np.percentile(grey, (1, 99))
    assert bright - dark >= LEAST_SPREAD, f"{name} is almost uniform"
    assert (grey <= PALE).mean() >= least, f"{name} is washed out"


@pytest.mark.parametrize("name", RUNS)
def test_a_report_can_be_read(name, request, window, pictures, tmp_path):
    report = request.getfixturevalue(name).report(tmp_path / "report", dpi=120)
    window.size(WIDTHS[0], 1800)
    window.open((report / "index.html").as_uri())
    has_view = window.evaluate("Boolean(document.querySelector('#explorer'))")
    if has_view:
        window.wait_until(READY)
    figures = json.loads(window.evaluate(FIGURES))
    assert figures
    for figure in figures:
        *_, width, _ = window.box(f"#{figure} img")
        assert width >= LEAST_WIDTH, figure
        check_contrast(window.pixels(f"#{figure} img"), figure)
    for view in ("#x-image", "#x-plane") if has_view else ():
        if window.evaluate(f"Boolean(document.querySelector('{view}'))"):
            assert min(window.box(view)[2:]) >= LEAST_WIDTH
            check_contrast(window.pixels(view), view)
    window.whole().save(pictures / f"{name}.png")
    check_layout(window)
    assert window.messages() == []


def test_the_live_page_can_be_read(scan_run, window, pictures):  # noqa: F811
    with served(scan_run.folder) as address:
        window.size(WIDTHS[0], 1800)
        window.open(f"{address}#{TOKEN}")
        window.wait_until(f"{READY} && document.querySelector('#x-detector')")
        for view in ("#x-image", "#x-plane", "#x-detector"):
            assert min(window.box(view)[2:]) >= LEAST_WIDTH, view
            check_contrast(window.pixels(view), view)
        window.whole().save(pictures / "live.png")
        check_layout(window)
        assert window.messages() == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((30, 30), 255), "almost uniform"),
        (np.where(np.arange(900) < 12, 0, 230).reshape(30, 30), "washed out"),
    ],
)
def test_an_image_without_contrast_is_noticed(image, words):
    with pytest.raises(AssertionError, match=words):
        check_contrast(Image.fromarray(image.astype(np.uint8)), "image")


def test_text_that_is_wider_than_its_box_is_noticed(window, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<main><p style='width:90px;white-space:nowrap'>a line that is far too long</p></main>"
    )
    window.open(page.as_uri())
    window.wait_until("document.querySelector('p')")
    assert json.loads(window.evaluate(SPILLED)) == ["P: a line that is far too long"]
