"""What a disturbed run made, against what nobody disturbed; and when a stage is at work."""

import time
from collections.abc import Callable
from pathlib import Path

from invae.stages import stages

PATIENCE = 400
"""For anything at all on a busy machine [s]."""


def values(folder: Path) -> dict[str, bytes]:
    """Bytes of every array, weight and figure of a run, or of one stage."""
    kinds = (".safetensors", ".png")
    files = [p for p in folder.rglob("*") if "c" in p.parts or p.suffix in kinds]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.is_file()}


def check(found: Path, expected: Path) -> None:
    """The same values to the last byte, and nothing half made beside them."""
    made, wanted = values(found), values(expected)
    assert wanted
    assert made.keys() == wanted.keys()
    assert [name for name in wanted if made[name] != wanted[name]] == []
    assert not [*found.glob(".*.partial"), *found.parent.glob(".*.partial")]


def wait_for(stage: str, folder: Path, *, ended: Callable[[], object]) -> None:
    """Return when what lies in the stage's unfinished output shows that it works.

    Args:
        stage: its name.
        folder: of the recording.
        ended: true if nothing works any more.
    """
    # analyse writes when all is computed: that its place is there is as much as can be seen
    pattern = f".{stages.STAGES[stage].output}.*.partial{'' if stage == 'analyse' else '/*'}"
    end = time.monotonic() + PATIENCE
    while not any(folder.glob(pattern)):
        assert not ended(), f"it ended before {stage}"
        assert time.monotonic() < end, f"it did not come to {stage}"
        time.sleep(0.002)
