"""Damage one file of a finished run at a time, and write down who notices it and with which words.

    python -m benchmarks.damage --write      # two minutes; the table of docs/reliability.md

A small recording is simulated and run through all stages once. Every damage is done to a copy.
"""

import argparse
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.written import put
from flows.cli.commands import execute
from invae.config import named
from invae.config.synthetic import DomainsConfig
from invae.errors import StoreError
from invae.results.reading import groups_of
from invae.stages import stages
from invae.storage import manifest, store
from invae.synthetic.domains import simulate

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
FLIPS, MOST_FILES = 60, 25
"""Single bits that are changed, one after another, and files that are lost, cut or emptied, at most, of every output."""
SMALL = (
    "ingest.shard_mb=0.1",
    "describe.patches.window=16",
    "training.epochs=1",
    "training.checkpoint_seconds=0",
    "analyse.max_clusters=2",
    "analyse.traversal_steps=3",
    "analyse.pca_components=2",
    "report.dpi=50",
    "compute.device=cpu",
    "compute.workers=1",
)


def lose(file: Path) -> None:
    """Delete a file."""
    file.unlink()


def shorten(file: Path) -> None:
    """Cut a file in half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    """Leave nothing of a file."""
    file.write_bytes(b"")


def flip(file: Path, at: int) -> None:
    """Change one bit of a file."""
    content = bytearray(file.read_bytes())
    content[at // 8 % len(content)] ^= 1 << at % 8
    file.write_bytes(content)


@dataclass
class Tally:
    """Who noticed how many of the damages of a kind."""

    n: int = 0
    rerun: int = 0
    """Seen by the same command again, which makes the output anew."""
    opened: int = 0
    """Refused when the output is opened or its values are read."""
    verified: int = 0
    """Named by `invae doctor --verify`."""
    other_values: int = 0
    """Read as other values, without an error."""


def finished_run(folder: Path) -> Path:
    """A small recording after all stages; its folder."""
    series = DomainsConfig(rows=64, columns=64, n_frames=8, margin=16)
    simulate(folder / "domains.zarr", config=series, seed=11)
    config, quiet = named.load("demo", changes=SMALL), Console(quiet=True)
    out = folder / "out" / "domains"
    execute.run_ingest([folder / "domains.zarr"], out, config, console=quiet)
    for name in list(stages.STAGES)[1:]:
        execute.run_stage(name, out, config, console=quiet)
    return out


def values_of(output: Path) -> Mapping[str, bytes]:
    """All values of an output by name; files of a folder as they are."""
    if output.suffix != ".zarr":
        if (output / "model.json").is_file():
            from invae.training.model_folder import load

            weights = load(output).model.state_dict()
            return {name: value.numpy().tobytes() for name, value in weights.items()}
        manifest.check_sizes(output, again=True)
        return {}
    found = {}
    for group in groups_of(output):
        for name, variable in store.open_store(output, group=group).variables.items():
            found[f"{group}/{name}"] = variable.to_numpy().tobytes()
    return found


def files_of(output: Path) -> list[Path]:
    """Files of an output that have content, in order."""
    return sorted(p for p in output.rglob("*") if p.is_file() and p.stat().st_size)


def judged(output: Path, key: str, expected: Mapping[str, bytes], tally: Tally) -> None:
    """Count who notices the damage of an output."""
    tally.n += 1
    manifest._compared.clear()
    tally.rerun += not store.is_current(output, key)
    try:
        read = values_of(output)
    except (StoreError, ValueError, RuntimeError, OSError, LookupError, TypeError):
        tally.opened += 1
    else:
        tally.other_values += any(read.get(name) != value for name, value in expected.items())
    try:
        manifest.check_bytes(output)
    except StoreError:
        tally.verified += 1


def damaged(output: Path, work: Path) -> Iterator[tuple[str, Tally]]:
    """Every kind of damage of one output, and who notices it."""
    receipt = store.read_receipt(output)
    assert receipt is not None
    expected = values_of(output)
    target = work / output.name
    shutil.copytree(output, target)
    rng, files = random.Random(0), files_of(target)
    whole: Mapping[str, Callable[[Path], None]] = {"lost": lose, "cut in half": shorten, "emptied": empty}  # fmt: skip
    for words, harm in whole.items():
        tally = Tally()
        for file in rng.sample(files, min(MOST_FILES, len(files))):
            content = file.read_bytes()
            harm(file)
            judged(target, receipt.key, expected, tally)
            file.write_bytes(content)
        yield words, tally
    tally = Tally()
    for _ in range(FLIPS):
        file = rng.choice(files)
        content = file.read_bytes()
        flip(file, rng.randrange(8 * max(len(content), 1)))
        judged(target, receipt.key, expected, tally)
        file.write_bytes(content)
    yield "one bit changed", tally
    shutil.rmtree(target)


def table(folder: Path) -> str:
    """The corruption matrix as Markdown."""
    out = finished_run(folder)
    rows = []
    warnings.simplefilter("ignore")  # of zarr, about emptied metadata
    for stage in stages.STAGES.values():
        output = out / stage.output
        for words, tally in damaged(output, folder / "work"):
            rows.append(
                f"| {stage.output} | {words} | {tally.n} | {tally.rerun} | {tally.opened} | {tally.verified} | {tally.other_values} |"
            )
    whole = [out / stage.output for stage in stages.STAGES.values()]
    began = time.process_time()
    for output in whole:
        manifest.check_sizes(output, again=True)
    sizes = time.process_time() - began
    began = time.process_time()
    n_files = sum(manifest.check_bytes(output) for output in whole)
    every = time.process_time() - began
    head = [
        "| output | damage of one file | damages | rerun makes it anew | opening or reading refuses | `doctor --verify` names it | read as other values |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    cost = f"\nComparing names and sizes of these {n_files} files takes {1000 * sizes:.0f} ms, all bytes {1000 * every:.0f} ms of processor time.\n"
    return "\n".join([*head, *rows]) + "\n" + cost


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="invae-damage-") as folder:
        text = table(Path(folder))
    if options.write:
        put(PAGE, "damage", text)
    print(text)


if __name__ == "__main__":
    main()
