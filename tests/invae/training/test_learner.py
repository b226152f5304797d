"""A learner of one's own goes through the loop, its checkpoints and its early stop; nothing else steps an optimizer."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from invae.models.loss import Loss, Tally
from invae.training.checkpoint import CHECKPOINT_FILE, run_epochs
from invae.training.fit import Fit, Plan, constant

ROOT = Path(__file__).parents[3]
SLOPE = 3.0


@dataclass(frozen=True)
class Points:
    """Points on a line."""

    x: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, places: slice) -> "Points":
        return Points(self.x[places])


@dataclass(frozen=True)
class Draws:
    """Batches of points, other ones in every epoch."""

    n_batches: int

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def n_items(self) -> int:
        return 8 * self.n_batches

    def __len__(self) -> int:
        return self.n_batches

    def epoch(self, number: int, *, seed: int) -> Iterator[Points]:
        generator = torch.Generator().manual_seed(1000 * seed + number)
        for _ in range(self.n_batches):
            yield Points(torch.randn(8, 1, generator=generator))


class Kept:
    """The same points each time."""

    def in_order(self) -> Iterator[Points]:
        return Draws(2).epoch(99, seed=0)


class Line:
    """Learns the slope of a line from noisy values; batch normalisation tells training from validation."""

    measure, settled_from = "fit", 0.0

    def __init__(self) -> None:
        self.module = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
        for weight in self.module.parameters():
            nn.init.constant_(weight, 0.5)

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"value": 0.1 * torch.randn(n_items, 1, generator=generator)}

    def loss(self, batch: Points, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        self.module.train()
        error = (self.module(batch.x) - SLOPE * batch.x - noise["value"]).square().squeeze(-1)
        return Loss(error.mean(), {"fit": Tally.of(-error)})

    def score(
        self, batch: Points, noise: Mapping[str, Tensor], *, progress: float
    ) -> Mapping[str, Tally]:
        self.module.eval()
        error = (self.module(batch.x) - SLOPE * batch.x).square().squeeze(-1)
        return {"fit": Tally.of(-error)}


def begin(**changes: object) -> Fit[Points]:
    values = {"n_epochs": 12, "patience": 12, "learning_rate": 0.05, **changes}
    return Fit(Line(), Draws(5), Kept(), plan=Plan(schedule=constant, **values), seed=1)  # type: ignore[arg-type]


def state(fit: Fit[Points]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in fit.learner.module.state_dict().items()}


def test_a_learner_of_another_kind_is_trained_and_scored_by_its_own_measure():
    fit = begin()
    epochs = list(fit.epochs())
    assert epochs[-1].score == epochs[-1].held_out["fit"]
    assert epochs[-1].score > 0.1 * epochs[0].score
    assert epochs[-1].to_json()["measure"] == "fit"
    assert epochs[-1].angles == []


def test_a_killed_learner_goes_on_to_the_same_bits_with_its_running_statistics(tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch) -> None:
        if epoch.epoch == 4:
            raise Killed

    undisturbed, killed, resumed = begin(), begin(), begin()
    run_epochs(undisturbed, folder=None, seconds_between=0.0)
    with pytest.raises(Killed):
        run_epochs(killed, folder=tmp_path, seconds_between=0.0, on_epoch=kill)
    assert (tmp_path / CHECKPOINT_FILE).is_file()
    seen: list[int] = []
    run_epochs(
        resumed, folder=tmp_path, seconds_between=0.0, on_epoch=lambda e: seen.append(e.epoch)
    )
    assert seen == list(range(12))
    assert resumed.history == undisturbed.history
    expected = state(undisturbed)
    assert "0.running_mean" in expected
    assert all(torch.equal(expected[name], value) for name, value in state(resumed).items())


def test_a_learner_that_no_longer_improves_stops():
    assert len(list(begin(n_epochs=30, patience=2, learning_rate=1e-30).epochs())) < 30


def test_nothing_but_the_loop_steps_an_optimizer():
    """No file but the loop and the pieces of its batches follows a loss back, and none but the loop speaks of optimizers."""
    files = [p for package in ("invae", "tasks", "flows") for p in (ROOT / package).rglob("*.py")]

    def using(*names: str) -> set[str]:
        return {
            str(path.relative_to(ROOT))
            for path in files
            if any(_uses(node, names) for node in ast.walk(ast.parse(path.read_text())))
        }

    assert using("optim", "zero_grad") == {"invae/training/fit.py"}
    assert using("backward") <= {"invae/training/fit.py", "invae/training/pieces.py"}


def _uses(node: ast.AST, names: tuple[str, ...]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in names
    if "optim" not in names:
        return False
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("torch.optim")
    return isinstance(node, ast.Import) and any("torch.optim" in n.name for n in node.names)
