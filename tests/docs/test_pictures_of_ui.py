"""The pictures of Prefect's pages are small, shown where they are explained, and can be taken again."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from docs import browser, pictures_of_ui

PAGE = Path(__file__).parents[2] / "docs" / "facility.md"
PICTURES = {"progress", "run", "training", "content", "page", "summary", "day"}
MOST_BYTES = 300_000


def check(folder: Path) -> None:
    assert {path.stem for path in folder.iterdir()} >= PICTURES
    for path in folder.iterdir():
        picture = Image.open(path)
        assert picture.width == browser.WIDTH
        assert path.stat().st_size < MOST_BYTES
        colours = picture.convert("RGB").getcolors(picture.width * picture.height)
        assert colours is not None
        assert len(colours) > 30, f"{path} shows nothing"


def test_the_pictures_are_small_and_every_one_is_explained():
    check(pictures_of_ui.FOLDER)
    text = PAGE.read_text()
    for path in pictures_of_ui.FOLDER.iterdir():
        assert f"](images/ui/{path.name})" in text


@pytest.mark.slow
@pytest.mark.skipif(browser.program() is None, reason="no Chromium here to take pictures with")
def test_they_can_be_taken_again(tmp_path):
    command = [sys.executable, "-m", "docs.pictures_of_ui", str(tmp_path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    check(tmp_path)
