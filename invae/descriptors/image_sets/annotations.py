"""Annotations of a set of images: labels, conditions, targets, ground truth; one value per frame."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from invae.config.describe import ImagesConfig
from invae.dims import FRAME, SITE, attrs, meanings
from invae.errors import ConfigError

OWN = {FRAME, "source", "y", "x", "y_nm", "x_nm", "kind", "labels", "condition", "target"}
"""Coordinates of a site with another meaning."""
TRUTH = "truth_"


def known_of(recording: xr.Dataset, *, config: ImagesConfig) -> dict[str, xr.Variable]:
    """Coordinates over sites, one per frame: all annotations of frames, by name.

    And, as configured: `labels` (−1 if unknown), `condition (site, condition_name)` and
    `target (site, target_name)` (NaN if unknown).

    Raises:
        ConfigError: a configured variable does not exist, or has unsuitable values.
    """
    found = {
        str(name): coordinate.variable
        for name, coordinate in sorted(recording.coords.items(), key=lambda item: str(item[0]))
        if coordinate.dims == (FRAME,) and str(name) not in OWN
    }
    coords = {name: _of_sites(variable.to_numpy(), variable) for name, variable in found.items()}
    kept = _kept(recording.sizes[FRAME], config=config)
    if config.labels is not None:
        coords["labels"] = _labels(_find(config.labels, found, key="labels"), kept, config.labels)
    columns = dict(_columns(config.condition, found))
    if columns:
        coords |= _table("condition", columns)
    targets = {
        name: np.where(kept, _find(name, found, key="target").to_numpy(), np.nan)
        for name in config.target
    }
    return coords | (_table("target", targets) if targets else {})


def _of_sites(values: np.ndarray, like: xr.Variable) -> xr.Variable:
    return xr.Variable(SITE, values, like.attrs)


def _find(name: str, found: dict[str, xr.Variable], *, key: str) -> xr.Variable:
    """The variable of this name, or the truth of this name."""
    for candidate in (name, f"{TRUTH}{name}"):
        if candidate in found:
            return found[candidate]
    there = ", ".join(key.removeprefix(TRUTH) for key in found) or "nothing"
    raise ConfigError(f"describe.{key} names {name!r}; beside its frames the recording has {there}")


def _kept(n_frames: int, *, config: ImagesConfig) -> np.ndarray:
    """Frames whose labels and targets the training may use."""
    order = np.random.default_rng(config.label_seed).permutation(n_frames)
    return np.isin(np.arange(n_frames), order[: round(config.label_share * n_frames)])


def _labels(variable: xr.Variable, kept: np.ndarray, name: str) -> xr.Variable:
    values = variable.to_numpy().astype(np.float64)
    values = np.where(np.isfinite(values), values, -1)
    if (values != np.rint(values)).any() or values.min() < -1:
        wrong = values[(values != np.rint(values)) | (values < -1)][0]
        raise ConfigError(
            f"describe.labels: {name} holds {wrong:g}; labels are whole numbers from 0, "
            "and -1 where they are not known"
        )
    return _of_sites(np.where(kept, values, -1).astype(np.int64), variable)


def _columns(
    names: tuple[str, ...], found: dict[str, xr.Variable]
) -> Iterator[tuple[str, np.ndarray]]:
    """Columns of the condition: the values of a variable, or one-hot columns of its named values."""
    for name in names:
        variable = _find(name, found, key="condition")
        values = variable.to_numpy().astype(np.float64)
        if not np.isfinite(values).all():
            raise ConfigError(
                f"describe.condition: {name} is not known of {int((~np.isfinite(values)).sum())} "
                "frames; a condition is needed for every one"
            )
        if "flag_meanings" not in variable.attrs:
            yield name, values
            continue
        for value, word in zip(
            np.atleast_1d(variable.attrs["flag_values"]), meanings(variable.attrs), strict=True
        ):
            yield f"{name}={word}", (values == value).astype(np.float64)


def _table(dim: str, columns: dict[str, np.ndarray]) -> dict[str, xr.Variable]:
    """Columns as one coordinate over sites, with their names."""
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    long_name = f"{dim} given to the training, by column"
    return {
        dim: xr.Variable((SITE, f"{dim}_name"), values, attrs(long_name)),
        f"{dim}_name": xr.Variable(f"{dim}_name", np.array(list(columns), dtype=object)),
    }
