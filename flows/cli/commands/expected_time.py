"""How long a run may take: from earlier runs with the same configuration, else from measured rates."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from invae.config import ProcessConfig
from invae.config.kinds import kind_of
from invae.dims import FRAME, POINT, SCAN_X, SCAN_Y, SPECTRAL, X, Y
from invae.stages import stages
from invae.storage import store
from tasks.progress import duration
from tasks.recording_folder import RUN_FILE, read_record

LOAD = (0.7, 1.5)
"""A run takes this much of the time of an equal one, by what else the machine does."""
MOST_RUNS = 30
"""Earlier runs that are read."""
PIXELS_PER_SITE = (500, 30)
"""Sites of images with atoms or walls: one on so many pixels, at least and at most."""
EPOCHS = 60
STEPS = 1500
"""A training without a given length lasts for so many epochs, and for no fewer steps."""
LEAST_EPOCHS = 0.3
"""Share of its epochs after which a training may have stopped."""


START = (5, 40)
"""Time until the first stage begins, for libraries and the server [s]."""


@dataclass(frozen=True)
class Cost:
    """Time of a stage, at least and at most [s]."""

    fixed: tuple[float, float]
    per_site: tuple[float, float]
    """For training: per site and epoch."""
    per_mb: tuple[float, float] = (0.0, 0.0)


COSTS: Mapping[str, Cost] = {
    "ingest": Cost((0.5, 10), (0, 0), (0.002, 0.1)),
    "describe": Cost((1, 15), (2e-4, 1e-2)),
    "train": Cost((3, 30), (2e-4, 2e-3)),
    "embed": Cost((1, 10), (2e-4, 3e-3)),
    "analyse": Cost((5, 60), (2e-4, 1e-2)),
    "report": Cost((10, 60), (0, 1e-3)),
}
"""Of all usual configurations, on two cores that other programs use too."""


def expected_time(
    folder: Path,
    config: ProcessConfig,
    due: Sequence[str],
    sizes: Mapping[str, int],
    n_bytes: int,
) -> str:
    """`2 to 5 min, from 3 earlier runs with pfm-walls`.

    Args:
        folder: Of the recording.
        config: Settings of all stages.
        due: Stages that have to run.
        sizes: Of the recording along its dimensions.
        n_bytes: Size of its files.
    """
    earlier = list(islice(_earlier(folder, config, due, n_bytes), MOST_RUNS))
    if earlier:
        low, high = min(run[0] for run in earlier), max(run[1] for run in earlier)
        runs = "1 earlier run" if len(earlier) == 1 else f"{len(earlier)} earlier runs"
        return f"{time_range(LOAD[0] * low, LOAD[1] * high)}, from {runs} with {config.name}"
    low, high = (_by_rates(config, due, sizes, n_bytes, end) for end in (0, 1))
    return f"{time_range(low, high)}, from rates measured on two processor cores; no run with {config.name} is in {folder.parent} yet"


def _earlier(
    folder: Path, config: ProcessConfig, due: Sequence[str], n_bytes: int
) -> Iterator[tuple[float, float]]:
    """Shortest and longest time [s] that every earlier run suggests: as it took, and scaled by the size of the files."""
    for file in folder.parent.glob(f"*/{RUN_FILE}"):
        record = read_record(file.parent)
        made = store.read_receipt(file.parent / stages.STAGES["ingest"].output)
        took = {name: line["seconds"] for name, line in record.get("stages", {}).items()}
        is_same = (record.get("config") or {}).get("name") == config.name
        if made is None or not is_same or not {*due} <= {*took}:
            continue
        seconds = sum(took[name] for name in due)
        scaled = seconds * n_bytes / max(1, sum(source.n_bytes for source in made.sources))
        yield min(seconds, scaled), max(seconds, scaled)


def _by_rates(
    config: ProcessConfig, due: Sequence[str], sizes: Mapping[str, int], n_bytes: int, end: int
) -> float:
    """Shortest (end 0) or longest (end 1) time by the measured costs [s]."""
    n_sites, training = sites_in(sizes, config)[end], config.training
    n_trained = min(n_sites, training.max_patches or n_sites)
    usual = max(EPOCHS, math.ceil(STEPS * training.batch_size / max(n_trained, 1)))
    epochs = (training.epochs or usual) * (LEAST_EPOCHS, 1)[end]
    counts = {name: epochs * n_trained if name == "train" else n_sites for name in due}
    return START[end] + sum(
        COSTS[name].fixed[end]
        + COSTS[name].per_site[end] * counts[name]
        + COSTS[name].per_mb[end] * n_bytes / 1e6
        for name in due
    )


def sites_in(sizes: Mapping[str, int], config: ProcessConfig) -> tuple[float, float]:
    """Least and largest number of sites in a recording of these sizes."""
    if SCAN_Y in sizes:
        over = (SCAN_Y, SCAN_X)
    elif {*sizes} & {*SPECTRAL}:
        over = (POINT,) if POINT in sizes else (Y, X)
    else:
        over = (FRAME,) if kind_of(config.describe).name == "images" else (FRAME, Y, X)
    count = math.prod(sizes.get(name, 1) for name in over)
    few, many = PIXELS_PER_SITE if over == (FRAME, Y, X) else (1, 1)
    return count / few, count / many


def time_range(low: float, high: float) -> str:
    """`40 to 90 s`, `2 to 5 min`, `2 min to 1.7 h`; one number where both read alike."""
    first, second = duration(low), duration(high)
    number, unit = first.split()
    return (
        second if first == second else f"{number if second.endswith(unit) else first} to {second}"
    )
