"""Several trainings of one model, such as the members of an ensemble, on all cores: the values and the calls are those of one after the other."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import torch

from invae.progress import Progress
from invae.training.checkpoint import OnEpoch, ignore
from invae.training.device import n_cores
from invae.training.history import Epoch
from invae.training.parallel import Report, in_processes

SECONDS_PER_STEP = 0.007
"""Python and dispatch of a step of a small model, whatever the batch [s]."""
VALUES_PER_SECOND = 5e6
"""Values of patches that a core trains on [1/s]; an rVAE of 48² takes 3,000 patches per second."""
LEAST_SECONDS = 8.0
"""Shortest member that is worth a process [s]: to start one takes two to three seconds of imports."""

Member = TypeVar("Member", contravariant=True)
Made = TypeVar("Made")
Outcome = TypeVar("Outcome", covariant=True)


@runtime_checkable
class TrainMember(Protocol[Member, Outcome]):
    """The training of one member."""

    def __call__(self, member: Member, /, *, progress: Progress, on_epoch: OnEpoch) -> Outcome: ...


def n_processes(workers: int | None, *, device: torch.device, seconds: float) -> int:
    """Number of members that are trained at a time: one on a GPU, which they would share.

    Args:
        workers: As asked for; the number of cores when empty, or 1 if members are too short to be worth processes.
        device: Of the trainings.
        seconds: Expected processor time of a member [s].
    """
    if device.type != "cpu":
        return 1
    return workers or (n_cores() if seconds >= LEAST_SECONDS else 1)


def expected_seconds(*, n_steps: int, n_values: float | int) -> float:
    """Expected processor time of a training, roughly [s].

    Args:
        n_steps: Number of steps.
        n_values: Number of values of patches in all of them.
    """
    return n_steps * SECONDS_PER_STEP + n_values / VALUES_PER_SECOND


def train_all(
    train: "TrainMember[Made, Outcome]",
    members: Sequence[Made],
    *,
    workers: int,
    reports: "Reports",
    first: int = 0,
) -> list[Outcome]:
    """What the training of every member returns, in their order; see `in_processes`.

    Args:
        train: A function of a module, or a `partial` of one; it returns no tensors.
        members: What differs between them.
        workers: Number of processes.
        reports: Takes progress and epochs.
        first: Number of the first of these members among all.
    """
    return in_processes(
        partial(_train, train),
        members,
        workers=workers,
        listen=lambda number, report: reports(first + number, report),
    )


def _train(train: "TrainMember[Made, Outcome]", member: Made, report: Report) -> Outcome:
    outcome = train(
        member, progress=lambda done, total: report((done, total)), on_epoch=lambda e: report(e)
    )
    report(None)
    return outcome


class Reports:
    """Progress and epochs of several trainings as those of one."""

    def __init__(self, n_members: int, progress: Progress, on_epoch: OnEpoch = ignore) -> None:
        """Begin.

        Args:
            n_members: Number of trainings.
            progress: Called with finished and all steps of progress of all members.
            on_epoch: Called with the epochs of the first member, then with those of the next, however many are trained at a time.
        """
        self.n_members, self._progress, self._on_epoch = n_members, progress, on_epoch
        self._parts: dict[int, tuple[int, int]] = {}
        self._waiting: dict[int, list[Epoch]] = defaultdict(list)
        self._finished: set[int] = set()
        self._first = 0

    def __call__(self, number: int, report: "tuple[int, int] | Epoch | None") -> None:
        """Take a part of the progress, an epoch, or none at the end of a member."""
        if isinstance(report, tuple):
            self._parts[number] = report
            self._show()
        elif report is not None:
            self._waiting[number].append(report)
        else:
            self._finished.add(number)
        self._pass_on()

    def _show(self) -> None:
        totals = [total for _, total in self._parts.values()]
        later = (self.n_members - len(totals)) * max(totals)
        self._progress(sum(done for done, _ in self._parts.values()), sum(totals) + later)

    def _pass_on(self) -> None:
        """Pass on the epochs of the first unfinished member, and of those before it."""
        while True:
            for epoch in self._waiting.pop(self._first, []):
                self._on_epoch(epoch)
            if self._first not in self._finished:
                return
            self._first += 1
