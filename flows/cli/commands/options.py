"""The options that several commands share, and what becomes of them."""

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
        help="A file or store; several are one series, in this order; a folder is the series of the "
        "recordings in it, by name.",
        show_default=False,
    ),
]
ConfigName = Annotated[
    str,
    typer.Option(
        "--config", "-c", metavar="NAME|FILE", help="See `invae configs`; NAME@VERSION pins it."
    ),
]
RecordedConfig = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|FILE",
        help="Left out: the configuration that the recording was last run with.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|URL",
        help="Every recording gets a folder in it, or a prefix on an object store: s3://bucket/prefix.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as training.epochs=20; may be repeated.",
        show_default=False,
    ),
]
Device = Annotated[
    DeviceName | None,
    typer.Option("--device", help="Where models run; auto takes the GPU.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", help="Blocks worked on at once.", show_default="cores"
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="DIR|URL",
        help="A model trained elsewhere, taken as it is instead of training one.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]
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
    """The configuration that the options ask for."""
    from invae.config import named

    return named.load(name, changes=[*(changes or []), *where(device, workers)])


def where(device: DeviceName | None, workers: int | None) -> list[str]:
    """The options on where to run, as changes of the configuration."""
    changes = [f"compute.device={device}"] if device else []
    return changes + ([f"compute.workers={workers}"] if workers else [])


def recordings_in(inputs: Sequence[Path]) -> list[Path]:
    """The inputs, with a folder that is no store replaced by the recordings in it.

    Raises:
        InputError: if there is none in a folder, or an input lies on an object store.
    """
    from invae.errors import InputError
    from invae.readers import all_readers, files_of
    from invae.stages.stages import natural
    from invae.storage.location import ObjectPath, as_path

    extensions = {extension for reader in all_readers() for extension in reader.extensions}
    found: list[Path] = []
    for path in inputs:
        if isinstance(there := as_path(path), ObjectPath):
            raise InputError(f"{there}: recordings are read from folders; copy it into one")
        if not path.is_dir() or (path / "zarr.json").exists() or (path / ".zgroup").exists():
            found.append(path)
            continue
        inside = [
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in extensions and not entry.name.startswith(".")
        ]
        if not inside:
            raise InputError(
                f"{path} holds no recording; known are {', '.join(sorted(extensions))}"
            )
        others = {other for entry in inside for other in files_of(entry)[1:]}
        found += sorted((entry for entry in inside if entry not in others), key=natural)
    return found
