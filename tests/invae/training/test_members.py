"""Members of models of pairs on several cores: values and calls are those of one after the other; a killed training goes on."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import InputError
from invae.models.signals import IMAGE
from invae.training.checkpoint import CHECKPOINT_FILE
from invae.training.history import Epoch
from invae.training.members import LEAST_SECONDS, Reports, expected_seconds, n_processes
from invae.training.pair_training import PairMember, train_members
from invae.training.signal_sources import ArraySource, SignalArray
from invae.training.split import Split
from tests.invae.estimators.pair_data import spots

CPU = torch.device("cpu")
N = 24


class Recorder:
    """Takes progress and epochs."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []

    def progress(self, done: int, total: int, /) -> None:
        self.done.append((done, total))

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def train(recorder: Recorder, *, splits: list[Split] | None = None, **options: Any):
    pairs = spots(N, seed=0)
    signals = {
        IMAGE: SignalArray(pairs["image"][:, None]),
        "spectrum": SignalArray(pairs["spectrum"][:, None, None]),
    }
    everything = np.arange(N)
    return train_members(
        ArraySource.of_signals(signals),
        splits or [Split(everything[k % 2 :: 2], everything[1 - k % 2 :: 2]) for k in range(3)],
        model=PairsModelConfig(family="separated", latent_dim=2, beta=1.0),
        training=TrainingConfig(epochs=3, patience=3),
        seed=4,
        device=CPU,
        progress=recorder.progress,
        on_epoch=recorder.on_epoch,
        **options,
    )


def digest_of(members: list[PairMember]) -> str:
    whole = sha256()
    for member in members:
        whole.update(repr([epoch.to_json() for epoch in member.history]).encode())
        for name, value in sorted(member.model.state_dict().items()):
            whole.update(name.encode() + value.numpy().tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def alone() -> tuple[str, list[Epoch]]:
    recorder = Recorder()
    return digest_of(train(recorder, workers=1)), recorder.epochs


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_values_and_epochs_do_not_depend_on_the_number_of_workers(alone, workers):
    recorder = Recorder()
    members = train(recorder, workers=workers)
    assert (digest_of(members), recorder.epochs) == alone
    assert recorder.done[-1] == (9, 9)
    assert not any(member.model.training for member in members)


def test_a_training_that_was_killed_in_the_middle_goes_on_to_the_same_values(alone, tmp_path):
    class Killed(KeyboardInterrupt):
        pass

    class Killer(Recorder):
        def on_epoch(self, epoch: Epoch) -> None:
            if any(tmp_path.rglob(CHECKPOINT_FILE)):
                raise Killed

    with pytest.raises(Killed):
        train(Killer(), workers=2, checkpoints=tmp_path)
    assert digest_of(train(Recorder(), workers=1, checkpoints=tmp_path)) == alone[0]


def test_the_error_of_a_member_is_one_line():
    few = [Split(np.arange(N), np.zeros(0, int)), Split(np.arange(3), np.zeros(0, int))]
    for workers in (1, 2):
        with pytest.raises(InputError) as raised:
            train(Recorder(), splits=few, workers=workers)
        assert str(raised.value) == "3 pairs are too few to learn from; give 8 or more"


def test_only_long_trainings_have_processes_unless_they_are_asked_for():
    short = {"device": CPU, "seconds": LEAST_SECONDS / 2}
    assert n_processes(None, **short) == 1
    assert n_processes(3, **short) == 3
    assert n_processes(None, device=CPU, seconds=LEAST_SECONDS) >= 1
    assert n_processes(8, device=torch.device("cuda"), seconds=1e3) == 1
    assert expected_seconds(n_steps=1000, n_values=0) == pytest.approx(7)
    assert expected_seconds(n_steps=0, n_values=1e8) == pytest.approx(20)


def epoch(number: int) -> Epoch:
    return Epoch(number, {}, {}, 0.0, best=True)


def order() -> Iterator[tuple[int, Any]]:
    """Two members at a time, of which the second is ahead, and a third."""
    yield from [(0, epoch(0)), (1, epoch(10)), (1, (1, 2)), (1, epoch(11)), (1, (2, 2)), (1, None)]
    yield from [(2, epoch(20)), (2, (1, 4)), (0, epoch(1)), (0, (2, 2)), (0, None)]
    yield from [(2, epoch(21)), (2, (4, 4)), (2, None)]


def test_epochs_are_passed_on_member_by_member_and_progress_at_once():
    recorder = Recorder()
    reports = Reports(3, recorder.progress, recorder.on_epoch)
    for number, report in order():
        reports(number, report)
    assert [each.epoch for each in recorder.epochs] == [0, 1, 10, 11, 20, 21]
    assert recorder.done == [(1, 6), (2, 6), (3, 10), (5, 8), (8, 8)]


def test_checkpoints_of_members_lie_in_folders_of_their_own(tmp_path: Path):
    train(Recorder(), workers=1, checkpoints=tmp_path)
    assert sorted(p.parent.name for p in tmp_path.rglob(CHECKPOINT_FILE)) == [
        "member_00",
        "member_01",
        "member_02",
    ]
