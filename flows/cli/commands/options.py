"""Options that several commands share, and what they mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from invae.config import ProcessConfig

DEFAULT_CONFIG = "pfm-walls"

DeviceName = Literal["auto", "cpu", "cuda"]

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT…",
        help="File or store. Several inputs form one series in the given order; a folder is a series of "
        "its recordings, sorted by name.",
        show_default=False,
    ),
]
ConfigName = Annotated[
    str,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="Configuration, see `invae configs`; NAME@VERSION pins a version.",
    ),
]
PickedConfig = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="Configuration, see `invae configs`; NAME@VERSION pins a version.",
        show_default="that of the last run, else by the content of the files",
    ),
]
IngestConfigName = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="Configuration, see `invae configs`; NAME@VERSION pins a version.",
        show_default=DEFAULT_CONFIG,
    ),
]
RecordedConfig = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="Default: the configuration of the last run of the recording.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|URL",
        help="Output folder with one folder per recording; also an object store, s3://bucket/prefix.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as training.epochs=20; can be repeated.",
        show_default=False,
    ),
]
Device = Annotated[
    DeviceName | None,
    typer.Option(
        "--device",
        help="Device of the models; auto uses the GPU if there is one.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Number of blocks processed, or networks trained, in parallel.",
        show_default="cores",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR|URL",
        help="Use this trained model instead of training one.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the recording.", show_default="from the files"),
]


def settings(
    name: str,
    *,
    changes: Sequence[str] | None,
    device: DeviceName | None,
    workers: int | None,
) -> "ProcessConfig":
    """The configuration after the changes of the options."""
    from invae.config import named

    return named.load(name, changes=[*(changes or []), *compute_changes(device, workers)])


def compute_changes(device: DeviceName | None, workers: int | None) -> list[str]:
    """The options --device and --workers as changes of the configuration.

    Raises:
        ConfigError: the device is cuda, and this machine has none.
    """
    if device == "cuda":
        refuse_missing_gpu("--device cuda")
    changes = [f"compute.device={device}"] if device else []
    return changes + ([f"compute.workers={workers}"] if workers else [])


def recordings_in(inputs: Sequence[Path]) -> list[Path]:
    """The inputs; a folder that is not a store is replaced by the recordings in it.

    Raises:
        InputError: if a folder holds no recording, or one that is a link to elsewhere, or an input is on an object store.
    """
    from invae.errors import InputError
    from invae.readers import all_readers, own_files_of
    from invae.stages.stages import natural
    from invae.storage.location import ObjectPath, as_path

    extensions = {extension for reader in all_readers() for extension in reader.extensions}
    recordings: list[Path] = []
    for path in inputs:
        if isinstance(location := as_path(path), ObjectPath):
            raise InputError(f"{location}: recordings are read from folders; copy it into one")
        if not path.is_dir() or (path / "zarr.json").exists() or (path / ".zgroup").exists():
            recordings.append(path)
            continue
        entries = [
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in extensions and not entry.name.startswith(".")
        ]
        if not entries:
            raise InputError(
                f"{path} holds no recording; known extensions are {', '.join(sorted(extensions))}"
            )
        # links are followed for files that the user names, not for those found in a folder
        companions = {file for entry in entries for file in own_files_of(entry, folder=path)[1:]}
        recordings += sorted((entry for entry in entries if entry not in companions), key=natural)
    return recordings


def refuse_missing_gpu(asked: str) -> None:
    """Refuse the setting that asks for a GPU on a machine without one.

    Raises:
        ConfigError: There is none.
    """
    import torch

    from invae.errors import ConfigError

    if not torch.cuda.is_available():
        raise ConfigError(
            f"{asked}: PyTorch finds no CUDA device here; use --device auto or cpu, or see `invae doctor`"
        )
