"""Errors that a user or a flow can act on.

Every message is one line: the input, the value found in it, and the remedy.
"""

import unicodedata

_CONTROL = {"Cc", "Cf", "Cs"}
"""Categories of control characters (of a terminal, of the direction of text) and of unencodable ones; PostgreSQL refuses the first."""


def visible(text: str) -> str:
    """Text from a recording, with � for control characters; line breaks stay."""
    return "".join(
        "\ufffd" if unicodedata.category(letter) in _CONTROL and letter not in "\n\t" else letter
        for letter in text
    )


class InvaeError(Exception):
    """The base of every deliberate error; users see it without a traceback."""

    def __str__(self) -> str:
        return visible(super().__str__())


class InputError(InvaeError):
    """A recording, store or array that cannot be used."""


class UnknownFormat(InputError):
    """A file that no reader recognises."""


class ConfigError(InvaeError):
    """A configuration that does not exist, cannot be parsed or does not match the recording."""


class StoreError(InvaeError):
    """A store that is missing, unfinished or of another kind than expected."""


class Damaged(StoreError):
    """A store whose bytes are not those that were written."""


class TrainingDiverged(InvaeError):
    """The loss became infinite or not a number."""


class MachineError(InvaeError):
    """A failure of the machine, not of the recording: another attempt, here or elsewhere, may succeed."""


class NoRoom(StoreError, MachineError):
    """The disk, or a quota on it, is full."""


class NotWritable(StoreError, MachineError):
    """A store in a place without permission to write."""


class OutOfMemory(MachineError):
    """A batch does not fit into the memory of the device."""


class WorkerLost(MachineError):
    """A worker process that has ended unexpectedly."""


class ServerError(InvaeError):
    """A Prefect server that does not start or answer, or lacks a deployment."""


class ClusterError(InvaeError):
    """A Dask cluster that does not answer, has no workers or runs other code."""
