"""Groups of a result on the dynamics of walls: forces, events, kinetics, roughness, and steps of the latent variables."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import xarray as xr

from invae import dims
from invae.analysis.domains import kinetics
from invae.analysis.domains.applied_field import FIELD, field_of_frames, of_walls, with_field
from invae.analysis.domains.events import switching_events
from invae.analysis.domains.force_balance import (
    Estimate,
    Forces,
    TooFew,
    balance,
    density,
    held,
)
from invae.analysis.domains.quantities import Quantity, table
from invae.analysis.domains.roughness import lines_of, roughness
from invae.analysis.domains.uneven_amplitude import uneven_amplitude
from invae.analysis.domains.wall_steps import WallSteps, wall_steps
from invae.analysis.inputs import Inputs
from invae.config.describe import WallConfig
from invae.descriptors.domains.walls import smoothing_of
from invae.storage import store
from invae.storage.provenance import Receipt

UNEVEN = 0.1
"""Places with a larger relative deviation of the response are uneven."""
MOST_STEPS = 60_000
"""Largest number of steps from which forces are estimated: time and memory of the balance grow with it."""
SEEN = 4
"""Least number of steps of walls within 5 px for a value of a map."""
BEYOND = 8
"""Margin of the maps of forces beyond the drift [px]."""
TENSION = Quantity("line_tension", "line tension times mobility, c", "pixel**2 per frame")
MOBILITY = Quantity("mobility", "velocity of a straight wall per unit of the applied field")
FORCE_R2 = Quantity("force_r2", "R² of v + cκ in frames that were left out")
HELD = Quantity("held_share", "share of steps whose wall stays although it is pushed")


@dataclass(frozen=True)
class Dynamics:
    """The forces on the walls of a series, or why they are not given; and the maps with the field."""

    maps: xr.Dataset
    steps: WallSteps
    forces: Forces | None
    reason: str


def dynamics(inputs: Inputs) -> Dynamics:
    """Steps of walls and their forces; the maps have the field that the configuration asks for."""
    maps = store.open_store(inputs.patches, group="maps")
    lines = str(maps.attrs.get("scan_lines", "rows"))
    steps = thinned(wall_steps(maps, compute=inputs.compute, lines=lines))
    uneven = uneven_amplitude(maps, compute=inputs.compute)
    at = ndi.map_coordinates(uneven, [steps.y, steps.x], order=1, mode="nearest") > UNEVEN
    margin = int(np.ceil(np.abs(maps["drift"].to_numpy()).max(initial=0.0))) + BEYOND
    try:
        forces, reason = (
            balance(
                steps,
                uneven=at,
                shape=(maps.sizes[dims.Y], maps.sizes[dims.X]),
                n_frames=maps.sizes[dims.FRAME],
                margin=margin,
                seed=inputs.seed,
            ),
            "",
        )
    except TooFew as few:
        forces, reason = None, str(few)
    return Dynamics(maps_with_field(inputs, forces), steps, forces, reason)


def thinned(steps: WallSteps) -> WallSteps:
    """At most `MOST_STEPS` of the steps, evenly spread along the walls, whose neighbouring points share their noise."""
    every = -(-len(steps) // MOST_STEPS)
    return steps.where(np.arange(len(steps)) % max(every, 1) == 0)


def maps_with_field(inputs: Inputs, forces: Forces | None) -> xr.Dataset:
    """The maps of all frames, lazily, with the applied field where it is known."""
    maps = store.open_store(inputs.patches, group="maps")
    n_frames, config = maps.sizes[dims.FRAME], inputs.config
    if config.field == "walls":
        unknown = Estimate(*[np.zeros(n_frames)] * 3)
        drive = unknown if forces is None else forces.drive
        return with_field(maps, of_walls(xr.Dataset(drive_columns(drive))))
    recording = store.open_store(inputs.recording)
    return with_field(maps, field_of_frames(recording, n_frames=n_frames, config=config))


def drive_columns(drive: Estimate) -> dict[str, tuple]:
    """e(t) and its interval over frames."""
    words = "force on a straight wall at the start of the frame, without the built-in one"
    attrs = dims.attrs(words, "pixel", per="frame")
    ends = {"": drive.value, "_low": drive.low, "_high": drive.high}
    return {f"wall_drive{end}": (dims.FRAME, value, attrs) for end, value in ends.items()}


def add_dynamics(inputs: Inputs, groups: dict[str, xr.Dataset], dynamic: Dynamics) -> None:
    """Add `forces`, `events`, `switching`, `roughness`, `quantities`, and columns of `frames`."""
    maps, steps, forces = dynamic.maps, dynamic.steps, dynamic.forces
    frames = groups["frames"]
    if forces is not None:
        groups["forces"] = _force_maps(forces, steps, maps)
        frames = frames.assign(drive_columns(forces.drive))
    groups["frames"] = frames.assign(wall_velocity=_mean_velocity(steps, maps.sizes[dims.FRAME]))
    switching = switching_events(maps, scanned=_scanned(maps))
    groups["events"], groups["switching"] = switching.events, switching.maps
    smoothing = _smoothing(inputs, maps)
    contours = store.open_store(inputs.patches, group="contours").load()
    zeta, groups["roughness"] = roughness(lines_of(contours), smoothing=smoothing, seed=inputs.seed)
    quantities = [
        *_of_forces(dynamic),
        *_of_growth(inputs, dynamic, switching.maps),
        *_of_creep(inputs, groups["frames"]),
        kinetics.sizes(switching.events, seed=inputs.seed),
        zeta,
    ]
    groups["quantities"] = table(quantities)


def _smoothing(inputs: Inputs, maps: xr.Dataset) -> float:
    """Sd of the smoothing before the walls of the first frame were traced [px]."""
    receipt = store.read_receipt(inputs.patches)
    assert isinstance(receipt, Receipt)
    config = WallConfig.model_validate(receipt.config.get("walls", {}))
    first = maps.isel({dims.FRAME: 0})
    return smoothing_of(first["polarization"].to_numpy(), first["valid"].to_numpy(), config=config)


def _scanned(maps: xr.Dataset) -> np.ndarray:
    """Share of the frame that is scanned before each pixel (y, x)."""
    shape = (maps.sizes[dims.Y], maps.sizes[dims.X])
    axis = 1 if maps.attrs.get("scan_lines") == "columns" else 0
    return np.indices(shape)[axis] / shape[axis]


def _force_maps(forces: Forces, steps: WallSteps, maps: xr.Dataset) -> xr.Dataset:
    """Maps of the forces in pixels of frame 0, where enough steps of walls were seen."""
    image = (dims.Y, dims.X)
    shape = (maps.sizes[dims.Y], maps.sizes[dims.X])
    count = density(steps, shape)
    seen = count >= SEEN
    stays = density(steps, shape, of=held(forces, steps))
    share = np.divide(stays, count, out=np.full(shape, np.nan), where=seen)
    columns = {
        **_columns(forces.field, "built_in_force", "force of the built-in field", "pixel", seen),
        "held_share": (share, dims.attrs("share of steps whose wall stays although it is pushed")),
        "n_steps": (count, dims.attrs("number of steps of walls within 5 px")),
    }
    if forces.energy is not None:
        words = "energy of a wall times the line tension; its slope pushes walls"
        columns |= _columns(forces.energy, "wall_energy", words, "pixel**2", seen)
    found = xr.Dataset({name: (image, *column) for name, column in columns.items()})
    return found.assign_coords({axis: maps[axis] for axis in image if axis in maps.coords})


def _columns(
    estimate: Estimate, name: str, words: str, units: str, seen: np.ndarray
) -> dict[str, tuple]:
    attrs = dims.attrs(words, units, per="frame")
    ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{end}": (np.where(seen, value, np.nan), attrs) for end, value in ends.items()}


def _mean_velocity(steps: WallSteps, n_frames: int) -> tuple:
    count = np.bincount(steps.frame, minlength=n_frames)
    total = np.bincount(steps.frame, steps.velocity, minlength=n_frames)
    mean = np.divide(total, count, out=np.full(n_frames, np.nan), where=count > 0)
    words = "mean velocity of walls until the next frame, positive if the positive domain grows"
    return dims.FRAME, mean, dims.attrs(words, "pixel", per="frame")


def _of_forces(dynamic: Dynamics) -> list[Quantity]:
    forces = dynamic.forces
    wanted = [TENSION, MOBILITY, FORCE_R2, HELD]
    if forces is None:
        return [one.without(dynamic.reason) for one in wanted]
    c = forces.tension
    return [
        TENSION.having(float(c.value), [float(c.low), float(c.high)]),
        _mobility(dynamic.maps, forces.drive),
        _plain(FORCE_R2, forces.r2),
        _plain(HELD, float(held(forces, dynamic.steps).mean())),
    ]


def _plain(quantity: Quantity, value: float) -> Quantity:
    """A quantity without an interval."""
    return Quantity(quantity.name, quantity.words, quantity.units, value)


def _mobility(maps: xr.Dataset, drive: Estimate) -> Quantity:
    """Slope of the force over the applied field; the ends of the series are left out, whose force is uncertain."""
    if FIELD not in maps:
        return MOBILITY.without("the applied field of the frames is not known")
    field, force = maps[FIELD].to_numpy()[1:-1], drive.value[1:-1]
    if len(np.unique(field)) < 3:
        return MOBILITY.without("the applied field has fewer than three values")
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(field), (kinetics.N_RESAMPLED, len(field)))
    slopes = [np.polyfit(field[row], force[row], 1)[0] for row in drawn if np.ptp(field[row]) > 0]
    return MOBILITY.having(float(np.polyfit(field, force, 1)[0]), slopes)


def _of_growth(inputs: Inputs, dynamic: Dynamics, switching: xr.Dataset) -> list[Quantity]:
    """Kinetics of the area that a force of one sign switches."""
    maps = dynamic.maps
    signs = _signs(dynamic)
    first = maps.isel({dims.FRAME: 0})
    p = first["polarization"].to_numpy()
    unswitched = first["valid"].to_numpy() & (np.sign(p) == -signs[0])
    return kinetics.growth(
        switching["first_switch"].to_numpy(),
        unswitched,
        n_frames=maps.sizes[dims.FRAME],
        one_sign=bool(signs[0] != 0 and (signs == signs[0]).all()),
        seed=inputs.seed,
    )


def _signs(dynamic: Dynamics) -> np.ndarray:
    """Sign of the force by frame, 0 where it is not certain."""
    if FIELD in dynamic.maps:
        return np.sign(dynamic.maps[FIELD].to_numpy())
    forces = dynamic.forces
    if forces is None:
        return np.zeros(dynamic.maps.sizes[dims.FRAME])
    return np.where(forces.drive.low > 0, 1, np.where(forces.drive.high < 0, -1, 0))


def _of_creep(inputs: Inputs, frames: xr.Dataset) -> list[Quantity]:
    field = np.full(frames.sizes[dims.FRAME], np.nan)
    if FIELD in frames:
        field = frames[FIELD].to_numpy()
    along = np.sign(field) * frames["wall_velocity"].to_numpy()
    return kinetics.creep(np.abs(field), along, seed=inputs.seed)
