"""`invae train-finder`: a network in a folder, and how well it does."""

import pytest
import torch

from flows.cli import console, terminal
from flows.cli.main import execute
from invae.segmentation.network_folder import load


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(terminal, "VERBOSITY", terminal.Verbosity())


def test_the_command_trains_and_says_how_well_it_did(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("invae.segmentation.score.N_IMAGES", 2)
    out = tmp_path / "finder"
    changes = ["width=4", "n_steps=1", "batch_size=2", "images.size=32"]
    sets = [word for change in changes for word in ("--set", change)]
    assert execute(["train-finder", "--out", str(out), *sets]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: F1 ")
    assert load(out).mark.out_channels == 4


def test_a_killed_training_goes_on_to_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setattr("invae.segmentation.score.N_IMAGES", 2)
    changes = ["width=4", "n_steps=6", "steps_per_epoch=2", "batch_size=2", "images.size=32"]
    sets = [word for change in [*changes, "checkpoint_seconds=0"] for word in ("--set", change)]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert execute(["train-finder", "--out", str(undisturbed), *sets]) == 0
    steps: list[int] = []
    advance = console.Lines.advance

    def interrupted(self, stage: str, done: int, total: int, note: str) -> None:
        steps.append(done)
        advance(self, stage, done, total, note)
        if done == 5 and len(steps) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(console.Lines, "advance", interrupted)
    assert execute(["train-finder", "--out", str(killed), *sets]) != 0
    assert not killed.exists()
    assert execute(["train-finder", "--out", str(killed), *sets]) == 0
    assert steps == [1, 2, 3, 4, 5, 5, 6]
    weights = [load(folder).state_dict() for folder in (undisturbed, killed)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "undisturbed"]
