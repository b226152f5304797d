"""`invae train-finder`: a network in a folder, and how well it does."""

import pytest

from flows.cli import terminal
from flows.cli.main import execute
from invae.segmentation.network_folder import load


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(terminal, "MANNER", terminal.Manner())


def test_the_command_trains_and_says_how_well_it_did(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("invae.segmentation.score.N_IMAGES", 2)
    out = tmp_path / "finder"
    changes = ["width=4", "n_steps=1", "batch_size=2", "images.size=32"]
    sets = [word for change in changes for word in ("--set", change)]
    assert execute(["train-finder", "--out", str(out), *sets]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: F1 ")
    assert load(out).mark.out_channels == 4
