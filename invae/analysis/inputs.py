"""Inputs of an analysis: the stores of earlier stages, and the settings."""

from dataclasses import dataclass
from pathlib import Path

from invae import dims
from invae.config import AnalyseConfig, ComputeConfig
from invae.config.kinds import Kind, recorded_kind
from invae.errors import StoreError
from invae.progress import Progress
from invae.storage import store

SHARES = {"descriptors": (0, 50), "components": (50, 75), "maps": (75, 90), "rest": (90, 100)}
"""Progress at the begin and end of each part [percent]."""


@dataclass(frozen=True)
class Inputs:
    """The stores of earlier stages, and the settings of the analysis."""

    recording: Path
    patches: Path
    model: Path
    embedding: Path
    config: AnalyseConfig
    seed: int
    compute: ComputeConfig
    progress: Progress

    @property
    def kind(self) -> Kind:
        """The kind of recording, from the receipt of the patches.

        Raises:
            StoreError: the patches are unfinished.
        """
        receipt = store.read_receipt(self.patches)
        if receipt is None:
            raise StoreError(f"{self.patches} is missing or unfinished; run `invae describe` first")
        return recorded_kind(receipt.config)

    def has_patch_group(self, name: str) -> bool:
        """Whether the store of patches has a group of this name."""
        return (self.patches / name / "zarr.json").is_file()

    @property
    def signal(self) -> str:
        """The signal that the patches were cut from."""
        return str(store.open_store(self.patches)[dims.CHANNEL].to_numpy()[0])

    def part(self, name: str) -> Progress:
        """Progress of one part as a percentage of the whole stage."""
        start, stop = SHARES[name]

        def report(done: int, total: int, /) -> None:
            self.progress(start + (stop - start) * done // max(total, 1), 100)

        return report
