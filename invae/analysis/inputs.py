"""What an analysis reads, and how it is asked to look at it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config import AnalyseConfig, ComputeConfig
from invae.progress import Progress
from invae.storage import store

SHARES = {"descriptors": (0, 50), "components": (50, 75), "maps": (75, 90), "rest": (90, 100)}
"""How far each part takes the work, begin and end [percent]."""


@dataclass(frozen=True)
class Inputs:
    """The stores of the stages before, and how they are looked at."""

    recording: Path
    patches: Path
    model: Path
    embedding: Path
    config: AnalyseConfig
    seed: int
    compute: ComputeConfig
    progress: Progress

    @property
    def has_frames(self) -> bool:
        """Whether maps were made of the frames that patches were cut from, as of domains and their walls."""
        return (self.patches / "maps" / "zarr.json").is_file()

    @property
    def on_scan(self) -> bool:
        """Whether sites are the probes of a scan, and patches their patterns."""
        return dims.SCAN_Y in store.open_store(self.recording).sizes

    @property
    def on_images(self) -> bool:
        """Whether sites lie on frames of which nothing but patches was made: atoms, windows."""
        kinds = {dims.KINDS[number] for number in np.unique(store.open_store(self.patches)["kind"])}
        return not self.has_frames and kinds <= {"atom", "grid"}

    @property
    def signal(self) -> str:
        """The signal that patches were cut from, where there is one."""
        return str(store.open_store(self.patches)[dims.CHANNEL].to_numpy()[0])

    def frame_maps(self) -> xr.Dataset:
        """Maps of all frames, unread."""
        return store.open_store(self.patches, group="maps")

    def part(self, name: str) -> Progress:
        """Progress of one part as a percentage of the whole stage."""
        start, stop = SHARES[name]

        def told(done: int, total: int, /) -> None:
            self.progress(start + (stop - start) * done // max(total, 1), 100)

        return told
