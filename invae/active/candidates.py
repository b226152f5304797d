"""Candidates: the sites that may be measured, each with its patch and place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from invae import dims
from invae.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

CANDIDATE = "candidate"
FEWEST = 4


@dataclass(frozen=True)
class Candidates:
    """Sites that may be measured."""

    patches: np.ndarray
    """(site, channel, y, x) float32."""
    yx: np.ndarray
    """(site, 2) [px of the image]."""
    frame: np.ndarray
    """(site,)."""
    yx_nm: np.ndarray | None
    """(site, 2) [nm]; none where the image is not calibrated."""
    window: float
    """Side of a patch [px]."""
    channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def yx_travel(self) -> np.ndarray:
        """Places in the unit of travel: nm, or px where nothing is calibrated."""
        return self.yx if self.yx_nm is None else self.yx_nm

    def places(self, sites: np.ndarray) -> dict[str, Any]:
        """Coordinates of some sites."""
        coords: dict[str, Any] = {
            CANDIDATE: (dims.SITE, sites, dims.attrs("number among the candidates")),
            dims.FRAME: (dims.SITE, self.frame[sites], dims.attrs("frame of the image")),
        }
        for k, name in enumerate((dims.Y, dims.X)):
            coords[name] = (dims.SITE, self.yx[sites, k], dims.attrs(f"place, {name}", "pixel"))
            if self.yx_nm is not None:
                at = self.yx_nm[sites, k]
                coords[f"{name}_nm"] = (dims.SITE, at, dims.attrs(f"place, {name}", "nm"))
        return coords

    def dataset(self) -> "xr.Dataset":
        """All candidates as a Dataset, which `candidates_of` takes back."""
        import xarray as xr

        coords = self.places(np.arange(len(self)))
        patch = xr.Variable(dims.PATCH, self.patches, dims.attrs("patch of the image"))
        return xr.Dataset({"patch": patch}, coords, {"window": self.window})


def candidates_of(given: "Mapping[str, Any] | xr.Dataset | str | Path") -> Candidates:
    """Candidates from a Dataset or store with `patch` and the places of sites, or from a mapping with `image`, `y` and `x`.

    Raises:
        InputError: Patches or places are missing, are not finite, or there are fewer than four sites.
    """
    import xarray as xr

    if isinstance(given, str | Path):
        from invae.storage import store
        from invae.storage.location import as_path

        given = store.open_store(as_path(given))
    name = "patch" if isinstance(given, xr.Dataset) else "image"
    missing = [key for key in (name, dims.Y, dims.X) if key not in given]
    if missing:
        raise InputError(
            f"candidates have no {', '.join(missing)}; give a store of patches, which `invae describe` makes, "
            "or a mapping with image, y and x"
        )
    patches = np.ascontiguousarray(np.asarray(given[name]), np.float32)
    patches = patches[:, None] if patches.ndim == 3 else patches
    yx = np.stack([np.asarray(given[key], float) for key in (dims.Y, dims.X)], axis=1)
    _refuse_unusable(patches, yx)
    frame = np.asarray(given[dims.FRAME] if dims.FRAME in given else np.zeros(len(yx)), int)
    attrs = given.attrs if isinstance(given, xr.Dataset) else {}
    window = float(attrs.get("window", max(patches.shape[2:])))
    channels: tuple[str, ...] = ()
    if isinstance(given, xr.Dataset) and dims.CHANNEL in given.coords:
        channels = tuple(str(one) for one in given[dims.CHANNEL].to_numpy())
    return Candidates(patches, yx, frame, _nm(given), window, channels)


def _nm(given: Any) -> np.ndarray | None:
    names = [f"{name}_nm" for name in (dims.Y, dims.X)]
    if any(name not in given for name in names):
        return None
    yx = np.stack([np.asarray(given[name], float) for name in names], axis=1)
    return yx if np.isfinite(yx).all() else None


def _refuse_unusable(patches: np.ndarray, yx: np.ndarray) -> None:
    if patches.ndim != 4 or len(patches) != len(yx):
        raise InputError(
            f"patches have shape {patches.shape} for {len(yx)} places; (site, channel, y, x) is needed"
        )
    if len(patches) < FEWEST:
        raise InputError(f"{len(patches)} candidates are too few; give {FEWEST} or more")
    bad = ~np.isfinite(patches).all(axis=(1, 2, 3)) | ~np.isfinite(yx).all(axis=1)
    if bad.any():
        raise InputError(
            f"{bad.sum()} candidates have a patch or place that is not finite, the first is {bad.argmax()}; leave them out"
        )
    if patches.max() == patches.min():
        raise InputError("all patches are constant; nothing can be predicted from them")
