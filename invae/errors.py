"""Errors that a person or a flow can act on.

Every message is one line: which input, what value was found, and what would be right.
"""

import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs"}
"""Letters that steer (a terminal, the direction of reading) or that cannot be written; PostgreSQL refuses the first of them."""


def visible(text: str) -> str:
    """Text that came with a recording, with � for letters that are none; lines stay lines."""
    return "".join(
        "\ufffd" if unicodedata.category(letter) in _UNSEEN and letter not in "\n\t" else letter
        for letter in text
    )


class InvaeError(Exception):
    """The base of every error that is raised on purpose; shown to people without a traceback."""

    def __str__(self) -> str:
        return visible(super().__str__())


class InputError(InvaeError):
    """A recording, store or array that cannot be used as it is."""


class UnknownFormat(InputError):
    """No reader knows this file."""


class ConfigError(InvaeError):
    """A configuration that does not exist, does not parse or does not fit the recording."""


class StoreError(InvaeError):
    """A store that is missing, unfinished or not of the expected kind."""


class TrainingDiverged(InvaeError):
    """The loss became infinite or not a number."""


class MachineError(InvaeError):
    """The machine failed, not the recording: another attempt, here or elsewhere, may succeed."""


class NoRoom(StoreError, MachineError):
    """The disk, or a quota on it, is full."""


class NotWritable(StoreError, MachineError):
    """A store may not be written where it should lie."""


class OutOfMemory(MachineError):
    """A batch does not fit into the memory of the device."""


class WorkerLost(MachineError):
    """A process that worked for this one is gone."""


class ClusterError(InvaeError):
    """A Dask cluster that does not answer, has no workers or runs other code."""
