"""A pose is a class in `pose.py` and a row of the latent table: nothing else changes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from invae import latent_table
from invae.latent_table import LATENTS, poses, row_of, variable_of
from invae.models.geometry.pose import POSES

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("new_pose.py")


def test_a_pose_added_by_its_class_and_its_row_is_found_everywhere(tmp_path):
    """In a process of its own, so that every module reads the table with the new row in it."""
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("the pose is there")


def test_every_pose_has_a_class_and_a_row():
    assert {row.name for row in LATENTS.values() if row.pose is not None} == set(POSES)
    assert [row.name for row in LATENTS.values()] == list(LATENTS)


@pytest.mark.parametrize("name", POSES)
def test_a_pose_is_an_affine_map_with_as_many_numbers_as_its_row_says(name):
    """Patches are put upright and poses are searched for as affine maps; only lengths depend on the unit of coordinates."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.rand(2, 1, 5, 2, generator=generator, dtype=torch.float64)
    params = torch.full((1, LATENTS[name].size or 0), 0.3, dtype=torch.float64)
    start, stop, middle = (
        POSES[name].pull_back(places, params) for places in (*ends, ends.mean(0))
    )
    torch.testing.assert_close(middle, (start + stop) / 2)
    if LATENTS[name].measure != "half side":
        torch.testing.assert_close(POSES[name].pull_back(3 * ends[0], params), 3 * start)


@pytest.mark.parametrize(
    "room", ["config", "models", "embedding", "estimators", "analysis", "results", "report"]
)
def test_no_other_module_lists_poses(room):
    """`shear` stands in the table, in `pose.py` and as the section of the configuration that it always was."""
    word = re.compile(r'"(shear|scaling|shearing)"')
    listing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "invae" / room).rglob("*.py")
        if word.search(path.read_text())
    }
    sections = {"invae/config/model.py", "invae/estimators/invariant_vae.py"}
    assert listing <= {*sections, "invae/models/geometry/pose.py"}


def test_options_letters_and_sections_are_each_one_pose_s_own():
    rows = [row.placed for row in poses().values()]
    for kind in ("option", "letter", "section"):
        names = [getattr(row, kind) for row in rows if getattr(row, kind)]
        assert len(names) == len(set(names)), kind


def test_a_latent_without_a_row_is_a_plain_number_of_its_own_name():
    assert variable_of("stretch_sd") == (
        ("site",),
        {"long_name": "standard deviation of the stretch", "units": "1"},
    )
    assert row_of("stretch").at_rest == 0
    assert row_of("class_2").uncertainty_dims == ("site", "class_2")
    assert "stretch" not in latent_table.LATENTS


def test_what_is_no_pose_has_no_place_in_the_configuration():
    with pytest.raises(LookupError, match="content"):
        _ = LATENTS["content"].placed
