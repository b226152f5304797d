"""What can go wrong in a way that the person, or the flow, can act on.

Every message is one line: which input, what value was found, and what would be right.
"""


class InvaeError(Exception):
    """The base of every error that is raised on purpose; shown to people without a traceback."""


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


class ClusterError(InvaeError):
    """A Dask cluster that does not answer, has no workers or runs other code."""


class WorkerLost(ClusterError):
    """A Dask cluster that was lost on the way; what it had finished is in the store."""
