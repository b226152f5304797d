"""Atoms of images and movies, linked from frame to frame, and patches centred on them."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae.config import AtomsConfig, ComputeConfig
from invae.descriptors import block_results
from invae.descriptors.atoms.find import are_dark, find_atoms
from invae.descriptors.atoms.neighbours import contrasts, displacements, shells
from invae.descriptors.atoms.tracking import link
from invae.descriptors.atoms.vacancies import vacancies
from invae.descriptors.frame_patches import Frames, survey, whole_share, write_patches
from invae.descriptors.layout import INDEPENDENT, pixel_sizes, site_coordinates
from invae.dims import AXIS, FRAME, SITE, attrs
from invae.errors import InputError
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

KIND = "atom"
STAGE = "atoms"
GROUP, MOVED, EMPTY = "atoms", "frames", "vacancies"
"""Groups of all atoms, of the drift from frame to frame, and of lattice sites without an atom."""
DETECTION_SHARE = 60
"""Share of the detection of atoms in the progress [%]."""
NEIGHBOURS = 3
"""Number of nearest atoms in `mean_distance`."""
SQUARE = 1.2
"""Largest ratio of a pixel's sides that leaves atoms round enough for their detection."""
DARK = (
    "dips of the image are sharper than its peaks, so atoms are taken to be dark, and their intensity is a depth; if "
    "they are bright, set describe.find.atoms to bright"
)
"""Note on dark atoms."""
SAVED_NAMES = ("position", "height", "sd", "ellipticity", "share", "frame")


@dataclass(frozen=True)
class Atoms:
    """All atoms of a recording, frame after frame."""

    position: np.ndarray
    """(atom, 2), (y, x) [px]."""
    height: np.ndarray
    sd: np.ndarray
    ellipticity: np.ndarray
    share: np.ndarray
    """Share of an atom's patch that is inside the frame and finite (atom,)."""
    frame: np.ndarray

    def by_frame(self, n_frames: int) -> list[np.ndarray]:
        """Positions (atom, 2) of every frame."""
        ends = np.searchsorted(self.frame, np.arange(n_frames + 1))
        return [self.position[a:b] for a, b in pairwise(ends)]


def describe_atoms(
    recording: Path,
    target: Path,
    *,
    config: AtomsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Patches centred on the atoms of a recording; the group `atoms` holds all detected atoms, `frames` the drift.

    Atoms whose patch extends beyond the frame are in the group, but have no patch.

    Raises:
        InputError: the recording holds no images, or no atom with a whole patch.
        ConfigError: the configuration does not fit the recording.
    """
    partial_store = store.begin(target, receipt.key)
    frames = survey(recording, partial_store, config=config)
    config, remarks = _decided(frames, config)
    block_results.begin(partial_store)
    map_blocks(
        partial(_find, frames=frames, config=config),
        range(frames.n_frames),
        compute=compute,
        progress=lambda done, total: progress(DETECTION_SHARE * done // total, 100),
    )
    paths = [
        block_results.path_of(partial_store, STAGE, number) for number in range(frames.n_frames)
    ]
    atoms = Atoms(*(block_results.gather(paths, name) for name in SAVED_NAMES))
    sites = _gather(atoms, frames, config=config)
    sites.attrs["notes"] += [*remarks, *_not_square(store.open_store(recording))]
    empty, frame = (block_results.gather(paths, name) for name in ("empty", "empty_frame"))
    store.write_dataset(partial_store, _vacancies(empty, frame, frames), group=EMPTY)
    write_patches(
        sites,
        frames=frames,
        compute=compute,
        progress=lambda done, total: progress(
            DETECTION_SHARE + (100 - DETECTION_SHARE) * done // total, 100
        ),
    )
    store.remove(partial_store / block_results.FOLDER)
    store.publish(partial_store, target, receipt)


def _decided(frames: Frames, config: AtomsConfig) -> tuple[AtomsConfig, list[str]]:
    """The configuration for all frames, bright or dark by the first one, and a note if it was not chosen."""
    if config.find.atoms != "auto":
        return config, []
    dark = are_dark(frames.read(0), config=config.find)
    find = config.find.model_copy(update={"atoms": "dark" if dark else "bright"})
    return config.model_copy(update={"find": find}), [DARK] * dark


def _not_square(dataset: xr.Dataset) -> list[str]:
    """A note if pixels are far from square."""
    size = pixel_sizes(dataset)
    if size is None or max(size) <= SQUARE * min(size):
        return []
    high, wide = size
    return [
        f"pixels are {high:.3g} nm high and {wide:.3g} nm wide, but atoms are detected as round spots of pixels: many "
        "may be false; resample the image to square pixels"
    ]


def _find(number: int, *, frames: Frames, config: AtomsConfig) -> None:
    """Save the atoms of one frame as a block result, unless it exists."""
    path = block_results.path_of(frames.partial, STAGE, number)
    if path.exists():
        return
    image = frames.read(number)
    found = find_atoms(image, config=config.find)
    share = whole_share(np.isfinite(image), found.position, window=frames.window)
    empty = vacancies(-image if config.find.atoms == "dark" else image, found)
    block_results.save(
        path,
        position=found.position,
        height=found.height,
        sd=found.sd,
        ellipticity=found.ellipticity,
        share=share,
        frame=np.full(len(share), number, np.int32),
        empty=np.column_stack([empty.position, empty.height, empty.expected]),
        empty_frame=np.full(len(empty.height), number, np.int32),
    )


def _gather(atoms: Atoms, frames: Frames, *, config: AtomsConfig) -> xr.Dataset:
    """Write the group `atoms`, and return the coordinates of the atoms with a patch."""
    dataset = store.open_store(frames.recording)
    kept = atoms.share >= config.min_valid
    if not kept.any():
        raise InputError(
            f"{frames.recording.parent.name}: {len(kept)} atoms found, none with a patch of "
            f"{frames.window} px inside the frame; lower describe.find.contrast or describe.window"
        )
    links = link(atoms.by_frame(frames.n_frames), config=config.link)
    coords = site_coordinates(
        dataset,
        atoms.position,
        atoms.frame,
        kind=KIND,
        channels=[frames.signal],
        steps=frames.steps,
    ).assign_coords(_numbers(atoms, frames, dataset))
    track = attrs("number of the atom, the same in every frame")
    coords = coords.assign_coords(track=(SITE, links.track.astype(np.int32), track))
    coords = coords.assign_coords(_within(atoms, frames, dataset, neighbours=config.neighbours))
    site_names = [name for name, values in coords.coords.items() if values.dims == (SITE,)]
    of_group = xr.Dataset(
        {name: ("atom", coords[name].values, coords[name].attrs) for name in site_names}
    )
    has_patch = ("atom", kept, attrs("the atom is the centre of a patch"))
    store.write_dataset(frames.partial, of_group.assign(has_patch=has_patch), group=GROUP)
    drift = attrs("place of the frame on the sample relative to the first frame", "pixel")
    moved = xr.Dataset({"drift": ((FRAME, AXIS), links.drift, drift)}, {AXIS: ["y", "x"]})
    store.write_dataset(frames.partial, moved, group=MOVED)
    return coords.isel({SITE: kept}).assign_attrs({INDEPENDENT: False})


def _vacancies(empty: np.ndarray, frame: np.ndarray, frames: Frames) -> xr.Dataset:
    """Positions of empty sites, the height there and the expected height.

    Args:
        empty: (vacancy; y, x, height, expected height).
        frame: frame of each vacancy (vacancy,).
        frames: the frames of the recording.
    """
    dataset = store.open_store(frames.recording)
    size = pixel_sizes(dataset)
    in_nm = empty[:, :2] * np.array([np.nan, np.nan] if size is None else size)
    own = dataset[frames.signal].attrs.get("units", "1")
    words = "empty site of the lattice in its frame"
    columns = {
        "frame": (frame, attrs("frame of the site")),
        "y": (empty[:, 0], attrs(f"{words}, down", "pixel")),
        "x": (empty[:, 1], attrs(f"{words}, right", "pixel")),
        "y_nm": (in_nm[:, 0], attrs(f"{words}, down", "nm")),
        "x_nm": (in_nm[:, 1], attrs(f"{words}, right", "nm")),
        "height": (empty[:, 2], attrs("height of a Gaussian fitted there", own)),
        "expected": (empty[:, 3], attrs("height of the atoms on such sites around", own)),
    }
    return xr.Dataset({name: ("vacancy", *rest) for name, rest in columns.items()})


def _numbers(atoms: Atoms, frames: Frames, dataset: xr.Dataset) -> dict[str, tuple]:
    """Quantities of the atoms beside their patches, as coordinates of sites."""
    unit, step = _step(dataset)
    near = np.concatenate(
        [_distances(here * step) for here in atoms.by_frame(frames.n_frames)] or [np.zeros((0, 2))]
    )
    own = dataset[frames.signal].attrs.get("units", "1")
    round_words = "difference over sum of the atom's variances along its two axes; 0 is round"
    mean_words = f"mean distance of the {NEIGHBOURS} nearest atoms"
    return {
        "intensity": (SITE, atoms.height, attrs("height of the atom above what is around", own)),
        "width": (SITE, atoms.sd * float(step.mean()), attrs("sd of the atom", unit)),
        "ellipticity": (SITE, atoms.ellipticity, attrs(round_words)),
        "nearest_distance": (SITE, near[:, 0], attrs("distance of the nearest atom", unit)),
        "mean_distance": (SITE, near[:, 1], attrs(mean_words, unit)),
    }


def _step(dataset: xr.Dataset) -> tuple[str, np.ndarray]:
    """The unit of lengths, and a pixel's sides (y, x) in it."""
    size = pixel_sizes(dataset)
    return ("pixel", np.ones(2)) if size is None else ("nm", np.array(size))


def _within(
    atoms: Atoms, frames: Frames, dataset: xr.Dataset, *, neighbours: int | None
) -> dict[str, tuple]:
    """Displacement from the nearest neighbours and relative height, as coordinates of sites."""
    unit, step = _step(dataset)
    places = [here * step for here in atoms.by_frame(frames.n_frames)]
    around = [shells(here, count=neighbours) for here in places]
    moved = np.concatenate([displacements(*pair) for pair in zip(places, around, strict=True)])
    height = [atoms.height[atoms.frame == number] for number in range(frames.n_frames)]
    ratio = np.concatenate([contrasts(*pair) for pair in zip(height, around, strict=True)])
    words = "of the atom from the middle of its nearest ones"
    return {
        "displacement": (SITE, np.hypot(*moved.T), attrs(f"distance {words}", unit)),
        "displacement_y": (SITE, moved[:, 0], attrs(f"displacement {words}, down", unit)),
        "displacement_x": (SITE, moved[:, 1], attrs(f"displacement {words}, right", unit)),
        "contrast": (SITE, ratio, attrs("height of the atom over that of its nearest ones")),
    }


def _distances(places: np.ndarray) -> np.ndarray:
    """Distance of the nearest atom, and mean distance of the nearest atoms (atom, 2); NaN if there are too few."""
    if len(places) < 2:
        return np.full((len(places), 2), np.nan)
    count = min(NEIGHBOURS, len(places) - 1)
    distance = np.asarray(KDTree(places).query(places, k=count + 1)[0])
    return np.column_stack([distance[:, 1], distance[:, 1:].mean(axis=1)])
