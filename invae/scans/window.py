"""What of the detector is kept: a part around the optic axis, pixels added up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from invae.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """A rectangle of the detector, in bins."""

    start: tuple[int, int]
    """First detector pixel (k_y, k_x)."""
    shape: tuple[int, int]
    """Bins (k_y, k_x)."""
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
        """The largest window of at most `crop` pixels that the axis is in the middle of; the whole detector without `crop`.

        Where pixels are left over that fill no bin, those farthest from the axis go.

        Raises:
            ConfigError: If not even one bin fits.
        """
        places = [
            _range(place, n, crop, binning) for place, n in zip(centre, detector, strict=True)
        ]
        (top, height), (left, width) = places
        if not (height and width):
            raise ConfigError(
                f"ingest.scan.bin is {binning}, which does not fit into the {detector[0]} × "
                f"{detector[1]} pixels of the detector{f', cropped to {crop}' if crop else ''}; "
                "choose a smaller one"
            )
        return cls((top, left), (height, width), binning)

    @property
    def is_whole(self) -> bool:
        """Whether pixels stay as they are, none being left out at the near edges."""
        return self.bin == 1 and self.start == (0, 0)

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """The window of patterns (…, k_y, k_x); counts are added up in a type that holds their sums."""
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
        """Bins all of whose pixels are valid."""
        return self.of((~pixels).astype(np.uint32)) == 0

    def place(self, pixel: tuple[float, float]) -> tuple[float, float]:
        """Where a place on the detector lies in the window [bin]."""
        y, x = (
            (place - first + 0.5) / self.bin - 0.5
            for place, first in zip(pixel, self.start, strict=True)
        )
        return y, x

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """The type of the window's values: wide enough for the sum of a bin."""
        if self.bin == 1:
            return stored
        if stored.kind == "f":
            return np.promote_types(stored, np.float32)
        largest = (2 if stored.kind == "b" else int(np.iinfo(stored).max)) * self.bin**2
        kind = "i" if stored.kind == "i" else "u"
        wide = [np.dtype(f"{kind}{size}") for size in (1, 2, 4, 8)]
        return next((one for one in wide if np.iinfo(one).max >= largest), wide[-1])

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_json` gave."""
        (top, left), (height, width) = values["start"], values["shape"]
        return cls((top, left), (height, width), values["bin"])


def _range(centre: float, n: int, crop: int | None, binning: int) -> tuple[int, int]:
    """First pixel and number of bins along one axis."""
    if crop is None:
        n_bins = n // binning
        return (n - n_bins * binning if centre > (n - 1) / 2 else 0), n_bins
    room = 2 * (min(centre, n - 1 - centre) + 0.5)
    n_bins = int(min(crop, room + 0.5, n) // binning)
    first = round(centre - (n_bins * binning - 1) / 2)
    return min(max(first, 0), n - n_bins * binning), n_bins
