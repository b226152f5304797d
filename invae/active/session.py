"""A search at an instrument: propose, measure, record, again; a killed one goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.active import ledger
from invae.active.drift import shift_of
from invae.active.instruments import Instrument
from invae.active.search import Search
from invae.active.targets import axis_of, axis_words
from invae.errors import StoreError
from invae.progress import Progress, silent

LEDGER, REFERENCE, SURVEY = "ledger.jsonl", "reference.npy", "survey"


class Session:
    """A search, its instrument, and the folder with the ledger."""

    def __init__(self, folder: Path, search: Search, instrument: Instrument, *, key: str) -> None:
        """Begin, or go on with what the ledger of the folder says.

        Args:
            folder: Made if it does not exist.
            search: A new one, without measurements.
            instrument: That measures.
            key: Digest of candidates, settings and model; a ledger of another key is refused.

        Raises:
            StoreError: The folder has the ledger of another search.
        """
        self.folder, self.search, self.instrument = folder, search, instrument
        self.drift = np.zeros(2)
        self.stopped = ""
        folder.mkdir(parents=True, exist_ok=True)
        events = list(ledger.read(self.path))
        if not events:
            ledger.append(self.path, ledger.STARTED, {"key": key})
        elif events[0].get("key") != key:
            raise StoreError(
                f"{folder} holds a search of other candidates or settings; give another --out"
            )
        for event in events[1:]:
            EFFECTS[event["event"]](self, event)

    @property
    def path(self) -> Path:
        """The ledger."""
        return self.folder / LEDGER

    @property
    def why_stopped(self) -> str:
        """Why the search has ended; empty while it goes on."""
        return self.stopped or self.search.stop

    def propose(self, batch: int = 1) -> xr.Dataset:
        """The next sites, with `target_y` and `target_x` [px], where drift has moved them."""
        sites = self.search.suggest(batch)
        for k, name in enumerate((dims.Y, dims.X)):
            moved = sites[name].to_numpy() + self.drift[k]
            sites[f"target_{name}"] = (
                dims.SITE,
                moved,
                dims.attrs(f"place with drift, {name}", "pixel"),
            )
        return sites

    def measure(self, sites: xr.Dataset) -> None:
        """Measure sites, and write the ledger before anything is proposed again."""
        measured = self.instrument.measure(sites)
        before = len(self.search.history)
        self.search.observe(sites, measured.drop_vars(SURVEY, errors="ignore"))
        axis = self.search.axis if before == 0 else None
        for one in self.search.history[before:]:
            event = ledger.as_event(one) | ({} if axis is None else {"axis": axis_words(axis)})
            ledger.append(self.path, ledger.MEASURED, event)
            axis = None
        if SURVEY in measured:
            self._register(measured[SURVEY].to_numpy())

    def step(self, batch: int = 1) -> int:
        """Propose and measure once; returns the number of measured sites, 0 when the search has ended."""
        if self.why_stopped:
            return 0
        sites = self.propose(batch)
        if sites.sizes[dims.SITE]:
            self.measure(sites)
        return sites.sizes[dims.SITE]

    def run(self, batch: int = 1, *, progress: Progress = silent) -> str:
        """Measure until the search ends; returns why."""
        while self.step(batch):
            progress(len(self.search.history), self.search.config.budget)
        return self.why_stopped

    def exclude(self, y: tuple[float, float], x: tuple[float, float], frame: int = 0) -> None:
        """Forbid an area [px] from now on."""
        event = {"y": list(y), "x": list(x), "frame": frame}
        _exclude(self, event)
        ledger.append(self.path, ledger.EXCLUDED, event)

    def retarget(self, target: str, target_range: tuple[float, float] | None = None) -> None:
        """Look for another number of the spectra from now on."""
        event = {"target": target, "target_range": target_range and list(target_range)}
        _retarget(self, event)
        ledger.append(self.path, ledger.TARGET, event)

    def end(self, why: str) -> None:
        """End the search; it stays ended."""
        self.stopped = why
        ledger.append(self.path, ledger.STOPPED, {"why": why})

    def _register(self, image: np.ndarray) -> None:
        reference = self.folder / REFERENCE
        if not reference.exists():
            with (hidden := reference.with_name(f".{REFERENCE}")).open("wb") as file:
                np.save(file, image)
            hidden.replace(reference)
        shift = shift_of(np.load(reference, allow_pickle=False), image)
        self.drift = shift
        ledger.append(self.path, ledger.DRIFT, {"shift": shift.tolist()})


def _observe(session: Session, event: dict[str, Any]) -> None:
    if "axis" in event:
        session.search.axis = axis_of(event["axis"])
    session.search.history.append(ledger.as_observation(event))


def _exclude(session: Session, event: dict[str, Any]) -> None:
    session.search.exclude(tuple(event["y"]), tuple(event["x"]), event["frame"])


def _retarget(session: Session, event: dict[str, Any]) -> None:
    bounds = event["target_range"]
    session.search.retarget(event["target"], None if bounds is None else tuple(bounds))


def _stop(session: Session, event: dict[str, Any]) -> None:
    session.stopped = event["why"]


def _drift(session: Session, event: dict[str, Any]) -> None:
    session.drift = np.array(event["shift"])


EFFECTS = {
    ledger.MEASURED: _observe,
    ledger.EXCLUDED: _exclude,
    ledger.TARGET: _retarget,
    ledger.STOPPED: _stop,
    ledger.DRIFT: _drift,
}
