"""What lies on disk, to hold one store against another."""

import json
from pathlib import Path


def contents(folder: Path) -> dict[str, object]:
    """All that a store holds, without the receipt."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    values: dict[str, object] = {
        name: file.read_bytes() for name, file in files.items() if file.is_file()
    }
    root = json.loads((folder / "zarr.json").read_text())
    del root["attributes"]["receipt"]
    return {**values, "zarr.json": root}
