"""Public sample recordings: address, checksum, download."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invae.errors import InputError, StoreError

TIMEOUT = 60
"""Longest wait for an answer [s]."""

_ADDRESS = "https://raw.githubusercontent.com"
_DTMICROSCOPE = f"{_ADDRESS}/pycroscopy/DTMicroscope/17245ba6"
_SCIFIDATASETS = f"{_ADDRESS}/pycroscopy/SciFiDatasets/0c977f2f"
_GPIM = f"{_ADDRESS}/ziatdinovmax/GPim/70904e41"


@dataclass(frozen=True)
class Sample:
    """One recording that anybody may use."""

    address: str
    sha256: str
    n_bytes: int
    description: str
    licence: str = "MIT"

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.address.rsplit("/", 1)[1]


def _table(*samples: Sample) -> Mapping[str, Sample]:
    return {sample.name: sample for sample in samples}


SAMPLES: Mapping[str, Sample] = _table(
    Sample(
        f"{_DTMICROSCOPE}/data/AFM/PZT_final0001.h5",
        "3a85c4852f046bb514e75ce0f890775260a01c5f518231d6b1c30e9c28dd5ba0",
        2_622_912,
        "PFM of PZT, 2 µm: first of three scans of one area (NSID)",
    ),
    Sample(
        f"{_DTMICROSCOPE}/data/AFM/PZT_final0002.h5",
        "b7dfe86ad966804db5c4043db48178ef81e4b2a375d64111307a6bfce4c01029",
        2_622_912,
        "the second scan; the tip loses contact in some lines",
    ),
    Sample(
        f"{_DTMICROSCOPE}/data/AFM/PZT_final0003.h5",
        "ca8625c0a2762fac3789eab2702cf965262028255da3e94151cb2aee80e8b8a5",
        2_622_912,
        "the third scan; the tip loses contact in many lines",
    ),
    Sample(
        f"{_DTMICROSCOPE}/notebooks/AFM/temp/scan_0001.ibw",
        "ab3dfc7c3ad6e9bbbcad326b397131ae4a524fab6dba0cb2b1c1fa09d4cb09a8",
        1_693_209,
        "DART PFM with clear domain walls, 5 µm, six channels (Asylum)",
    ),
    Sample(
        f"{_SCIFIDATASETS}/data/microscopy/spm/afm/PTO_110_Virgin0001.gwy",
        "eb0bb8895a53bb53f6cc93471dbd4952ba31298d8317166c89efd72cc1a6c2d4",
        2_149_583,
        "PFM of PbTiO₃ with 180° walls, 10 µm (Gwyddion)",
    ),
    Sample(
        f"{_DTMICROSCOPE}/data/AFM/BEPS_PTO_50x50.h5",
        "6aebbfd6639c4fc3670228899ef7af7965a41decacedfb8db0c6ecd46d095055",
        1_297_264,
        "piezoresponse loops of PbTiO₃: 50 × 50 points, 64 voltages (NSID)",
    ),
    Sample(
        f"{_GPIM}/expdata/bepfm_test_data.npy",
        "9517a856d1cb83a04c093119dda80bbddaf7461935cc670e3715b48aa10fc39c",
        835_712,
        "band-excitation PFM, 32 × 32 points, 102 frequencies (NumPy; set ingest.dims=[y,x,frequency])",
    ),
    Sample(
        f"{_GPIM}/expdata/bepfm_test_data_sparse.npy",
        "ef33812466184054b3c807548a63d56e56b84decfe59a06249b4fc327eb74ccf",
        835_712,
        "the same recording with most points missing (NaN)",
    ),
)
"""All samples by name."""


def fetch(name: str, *, to: Path | None = None, source: Path | None = None) -> Path:
    """A sample as a file on this computer, verified by its checksum.

    Args:
        name: One of `SAMPLES`.
        to: Folder for the file; the user's cache when empty.
        source: Folder to copy the file from instead of downloading it; searched recursively.

    Raises:
        InputError: If there is no such sample, no network, or the content has changed.
        StoreError: If it cannot be written.
    """
    import pooch  # takes longer to import than the whole package

    if name not in SAMPLES:
        raise InputError(f"no sample is called {name!r}; choose one of {', '.join(SAMPLES)}")
    folder = to or Path(pooch.os_cache("invae"))
    pooch.get_logger().setLevel("WARNING")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}); choose another"
        ) from error
    return _retrieved(SAMPLES[name], folder, source)


def _retrieved(sample: Sample, folder: Path, source: Path | None) -> Path:
    import pooch

    # pooch's own downloaders do not match the type of the parameter
    downloader: Any = (
        pooch.HTTPDownloader(timeout=TIMEOUT) if not source else _Copy(source, sample.name)
    )
    try:
        path = pooch.retrieve(
            sample.address, f"sha256:{sample.sha256}", sample.name, folder, downloader=downloader
        )
    except ValueError as error:
        origin = sample.address if source is None else f"{sample.name} in {source}"
        raise InputError(
            f"{origin}: its SHA-256 is not that of the sample; the copy is damaged: fetch it again"
        ) from error
    except OSError as error:
        reason = type(error).__name__ if source is None else error.strerror or str(error)
        raise InputError(
            f"{sample.name}: cannot be fetched from {sample.address if source is None else source} "
            f"({reason}); check the network, or copy it from a folder with --from"
        ) from error
    return Path(path)


@dataclass(frozen=True)
class _Copy:
    """A replacement for a download that copies the file from a folder."""

    folder: Path
    name: str

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Copy to `output_file`; the names and the order of the parameters are those of pooch's downloaders."""
        path = next(iter(sorted(self.folder.rglob(self.name))), None)
        if path is None:
            raise FileNotFoundError(2, f"{self.name} is not in it", str(self.folder))
        shutil.copyfile(path, output_file)
