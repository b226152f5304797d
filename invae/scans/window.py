"""The kept part of the detector: a rectangle around the optic axis, with binned pixels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from invae.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """A rectangle of the detector in bins."""

    start: tuple[int, int]
    """First detector pixel (k_y, k_x)."""
    shape: tuple[int, int]
    """Number of bins (k_y, k_x)."""
    bin: int = 1
    """Detector pixels along each side of a bin."""

    @classmethod
    def around(
        cls,
        centre: tuple[float, float],
        detector: tuple[int, ...],
        *,
        crop: int | None,
        binning: int,
    ) -> Self:
        """The largest window of at most `crop` pixels that is centred on the axis; the whole detector without `crop`.

        Pixels that fill no bin are dropped at the side farthest from the axis.

        Raises:
            ConfigError: If not a single bin fits.
        """
        ranges = [
            _range(position, n, crop, binning) for position, n in zip(centre, detector, strict=True)
        ]
        (top, height), (left, width) = ranges
        if not (height and width):
            raise ConfigError(
                f"ingest.scan.bin is {binning}, which exceeds the {detector[0]} × {detector[1]} pixels "
                f"of the detector{f', cropped to {crop}' if crop else ''}; choose a smaller one"
            )
        return cls((top, left), (height, width), binning)

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """The window of patterns (…, k_y, k_x); bins are summed in a type that holds their sums."""
        parts = (
            slice(first, first + n * self.bin)
            for first, n in zip(self.start, self.shape, strict=True)
        )
        cut = patterns[(..., *parts)]
        if self.bin == 1:
            return cut
        kind = self.dtype(patterns.dtype)
        rows = cut[..., :: self.bin, :].astype(kind)
        for row in range(1, self.bin):
            rows += cut[..., row :: self.bin, :]
        bins = rows[..., :: self.bin].copy()
        for column in range(1, self.bin):
            bins += rows[..., column :: self.bin]
        return bins

    def valid(self, pixels: np.ndarray) -> np.ndarray:
        """Bins of which all pixels are valid."""
        return self.of((~pixels).astype(np.uint32)) == 0

    def position(self, pixel: tuple[float, float]) -> tuple[float, float]:
        """Position in the window [bin] of a position on the detector."""
        y, x = (
            (coordinate - first + 0.5) / self.bin - 0.5
            for coordinate, first in zip(pixel, self.start, strict=True)
        )
        return y, x

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """The type of the window's values, wide enough for the sum of a bin."""
        if self.bin == 1:
            return stored
        if stored.kind == "f":
            return np.promote_types(stored, np.float32)
        largest = (2 if stored.kind == "b" else int(np.iinfo(stored).max)) * self.bin**2
        letter = "i" if stored.kind == "i" else "u"
        wide = [np.dtype(f"{letter}{size}") for size in (1, 2, 4, 8)]
        return next((kind for kind in wide if np.iinfo(kind).max >= largest), wide[-1])

    def to_json(self) -> dict[str, Any]:
        """The window as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The window from the values of `to_json`."""
        (top, left), (height, width) = values["start"], values["shape"]
        return cls((top, left), (height, width), values["bin"])


def _range(centre: float, n: int, crop: int | None, binning: int) -> tuple[int, int]:
    """First pixel and number of bins along one axis."""
    if crop is None:
        n_bins = n // binning
        return (n - n_bins * binning if centre > (n - 1) / 2 else 0), n_bins
    available = 2 * (min(centre, n - 1 - centre) + 0.5)
    n_bins = int(min(crop, available + 0.5, n) // binning)
    first = round(centre - (n_bins * binning - 1) / 2)
    return min(max(first, 0), n - n_bins * binning), n_bins
