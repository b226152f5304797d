"""An instrument whose computer shares a folder with this program: a request as JSON goes out, a file with spectra comes back.

Files get their names when they are complete. A request that was answered is never asked again, so that a killed search measures nothing twice.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.active.candidates import CANDIDATE
from invae.active.measurements import SPECTRUM
from invae.errors import InputError, MachineError
from invae.storage.json_text import parsed_object

SECONDS_BETWEEN_LOOKS = 0.2
SUFFIXES = (".csv", ".npy", ".json")
SITE_FIELDS = (CANDIDATE, "frame", "y", "x", "y_nm", "x_nm", "target_y", "target_x")


class NoAnswer(MachineError):
    """The instrument did not answer in time."""


class Folder:
    """Requests and answers in one folder.

    `request-000012.json` names the sites: number, candidate, place [px], place [nm], and `target_y`, `target_x` [px], the place corrected for
    drift. The answer is one of

    * `answer-000012.csv`: a column with the axis, then one column of values for each site, below a header such as `voltage [V],first [pm]`;
    * `answer-000012.npy`: (1 + sites, axis), the axis first;
    * `answer-000012.json`: `{"axis": […], "spectra": [[…], …], "valid": [true, …], "candidates": [12, …]}`, and if wanted `axis_name`, `axis_units`, `units`.

    `survey-000012.npy` (y, x) is an image of the same field beside it, from which the drift follows. A file `answer-000012.failed` says that the
    sites could not be measured.
    """

    def __init__(self, path: str | Path, *, timeout: float = 600.0) -> None:
        """Use a folder, which is made if it does not exist.

        Args:
            path: Of the folder.
            timeout: Longest time for one answer [s].
        """
        self.path, self.timeout = Path(path), timeout
        self.path.mkdir(parents=True, exist_ok=True)

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        """Ask for the sites and wait for the answer.

        Raises:
            NoAnswer: None came in time.
            InputError: The answer cannot be read, or is of other sites.
        """
        number = int(sites.attrs["number"])
        request = _request(sites, number)
        self._ask(number, request)
        answer = self._wait(number)
        measured = _read(answer, request)
        survey = self.path / f"survey-{number:06d}.npy"
        if survey.exists():
            image = np.load(survey, allow_pickle=False).astype(float)
            measured["survey"] = ((dims.SURVEY_Y, dims.SURVEY_X), image)
        return measured

    def _ask(self, number: int, request: dict[str, Any]) -> None:
        path = self.path / f"request-{number:06d}.json"
        if path.exists():
            known = parsed_object(path.read_text())
            if known["sites"] != request["sites"]:
                raise InputError(
                    f"{path} asks for other sites than this search; give another folder, or remove its files"
                )
            return
        publish_text(path, json.dumps(request, indent=1))

    def _wait(self, number: int) -> Path:
        end = time.monotonic() + self.timeout
        names = [self.path / f"answer-{number:06d}{suffix}" for suffix in (*SUFFIXES, ".failed")]
        while True:
            for path in names:
                if path.exists():
                    return path
            if time.monotonic() > end:
                raise NoAnswer(
                    f"{self.path}: no answer to request {number} within {self.timeout:g} s; check the instrument, then run the same command again"
                )
            time.sleep(SECONDS_BETWEEN_LOOKS)


def publish_text(path: Path, text: str) -> None:
    """Write a file that appears when it is complete, and stays when the machine loses power."""
    hidden = path.with_name(f".{path.name}.partial")
    with hidden.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    hidden.replace(path)


def _request(sites: xr.Dataset, number: int) -> dict[str, Any]:
    rows = [
        {name: sites[name].to_numpy()[k].item() for name in SITE_FIELDS if name in sites.variables}
        for k in range(sites.sizes[dims.SITE])
    ]
    return {"number": number, "answer": f"answer-{number:06d}.csv", "sites": rows}


def _read(path: Path, request: dict[str, Any]) -> xr.Dataset:
    n = len(request["sites"])
    if path.suffix == ".failed":
        nothing = np.full((n, 2), np.nan)
        return _dataset(nothing, np.arange(2.0), {}, np.zeros(n, bool))
    try:
        axis, spectra, words = READERS[path.suffix](path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}; write it again") from error
    if spectra.shape != (n, len(axis)):
        raise InputError(
            f"{path} has spectra of shape {spectra.shape}; {n} sites × {len(axis)} values of the axis are needed"
        )
    asked = [site[CANDIDATE] for site in request["sites"]]
    answered = words.get("candidates", asked)
    if answered != asked:
        raise InputError(f"{path} answers candidates {answered} instead of {asked}")
    return _dataset(spectra, axis, words, np.broadcast_to(words.get("valid", True), n).astype(bool))


def _dataset(
    spectra: np.ndarray, axis: np.ndarray, words: dict[str, Any], valid: np.ndarray
) -> xr.Dataset:
    name = str(words.get("axis_name", "energy"))
    along = (name, axis, dims.attrs(name, str(words.get("axis_units", "1"))))
    attrs = dims.attrs("measured spectrum", str(words.get("units", "1")))
    return xr.Dataset(
        {SPECTRUM: ((dims.SITE, name), spectra, attrs), "valid": (dims.SITE, valid)},
        coords={name: along},
    )


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    lines = path.read_text().strip().splitlines()
    header = [word.strip() for word in lines[0].split(",")]
    table = np.array([[float(word) for word in line.split(",")] for line in lines[1:]])
    name, _, units = header[0].partition("[")
    words = {"axis_name": name.strip() or "energy", "axis_units": units.rstrip("] ") or "1"}
    value_units = header[1].partition("[")[2].rstrip("] ")
    return table[:, 0], table[:, 1:].T, {**words, "units": value_units or "1"}


def _read_npy(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    table = np.load(path, allow_pickle=False).astype(float)
    return table[0], table[1:], {}


def _read_json(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    words = parsed_object(path.read_text())
    spectra = np.array(words["spectra"], float)
    return np.array(words["axis"], float), spectra, words


READERS = {".csv": _read_csv, ".npy": _read_npy, ".json": _read_json}
