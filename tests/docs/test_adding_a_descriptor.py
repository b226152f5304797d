"""The page about adding a kind of recording is true: its files and its row take images from the recording to the report."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.blocks import DOCS, python_blocks

ROOT = DOCS.parent
FILES = (
    "invae/config/particles.py",
    "invae/descriptors/particles/patches.py",
    "invae/analysis/particles/groups.py",
    "invae/results/particles.py",
    "invae/report/particles/page.py",
)
TABLE = "invae/config/kinds.py"
*MODULES, ROW = python_blocks(DOCS / "adding-a-descriptor.md")
SETTINGS = {
    "describe": {"kind": "particles", "window": 12},
    "model": {"family": "rVAE"},
    "training": {"epochs": 2, "batch_size": 32},
    "analyse": {"max_clusters": 2, "traversal_steps": 3, "baselines": []},
    "report": {"dpi": 50},
    "compute": {"workers": 1, "device": "cpu"},
}
RUN = f"""
from pathlib import Path
from invae import results
from invae.config import ProcessConfig
from tests.invae.conftest import _through_all_stages

run = _through_all_stages(Path.cwd(), Path("images.npy"), ProcessConfig.model_validate({SETTINGS}))
results.validate(run.store("analyse"))
run.report(run.store("report"))
"""


def particles(n_frames: int) -> np.ndarray:
    """Twenty-five bright discs per frame, of radius 2 to 4 px, on a dark ground."""
    rng = np.random.default_rng(0)
    y, x = np.indices((80, 80))
    frames = rng.normal(0, 0.05, (n_frames, 80, 80))
    for frame in frames:
        for centre in np.ndindex(5, 5):
            distance = np.hypot(y - 8 - 16 * centre[0], x - 8 - 16 * centre[1])
            frame += distance < rng.uniform(2, 4)
    return frames.astype(np.float32)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the files and the row of the page."""
    folder = tmp_path_factory.mktemp("changed")
    for name in ("invae", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name, text in zip(FILES, MODULES, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    text = (ROOT / TABLE).read_text()
    above = "from invae.config.patterns import"
    assert text.count(above) == 1
    text = text.replace(above, f"from invae.config.particles import ParticlesConfig\n{above}")
    end = ',\n)\n"""All kinds by name'
    assert text.count(end) == 1
    (folder / TABLE).write_text(text.replace(end, f",\n{ROW.rstrip()}\n{end[2:]}"))
    return folder


@pytest.fixture(scope="module")
def run(changed: Path) -> Path:
    """The folder of a recording that went through all stages of the changed package."""
    np.save(changed / "images.npy", particles(3))
    alone = {"PATH": "", "HOME": str(changed), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", RUN], cwd=changed, check=True, env=alone)
    return changed / "run"


def test_the_page_names_every_file_that_it_shows():
    page = (DOCS / "adding-a-descriptor.md").read_text()
    assert re.findall(r"in `(invae/\w+(?:/particles)?/\w+\.py)`[.:]", page)[:5] == [*FILES]
    assert "no other file changes" in page


def test_a_new_kind_goes_from_the_recording_to_the_report(run: Path):
    page = (run / "report" / "index.html").read_text()
    assert "75 particles in" in page
    shown = {file.stem for file in (run / "report" / "figures").iterdir()}
    assert {"images", "glance", "content", "association", "manifold"} <= shown


def test_the_new_kind_keeps_its_descriptor_and_the_kind_of_its_sites(run: Path):
    from invae.dims import meanings
    from invae.storage import store

    sites = store.open_store(run / "result.zarr")
    assert sites.attrs["recording_kind"] == "particles"
    assert meanings(sites["kind"].attrs)[int(sites["kind"][0])] == "particle"
    area = sites["area"].to_numpy()
    assert len(area) == 75
    assert 12 < area.min() < area.max() < 51
    association = store.open_store(run / "result.zarr", group="association")
    assert association["descriptor"].to_numpy().tolist() == ["area"]
