"""`invae reproduce`: make a result again from its receipt, and say whether it is the same."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import ProcessConfig
    from invae.stages.compare import Difference
    from invae.storage.provenance import Receipt, Source

DIFFERS = 1
"""Exit code when the values are not the same."""


Result = Annotated[
    Path,
    typer.Argument(metavar="RESULT", help="The folder of a recording, or a store in it; or a URL."),
]
Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--source",
        metavar="FILE",
        help="Where the recording's files are now; may be repeated.",
        show_default="where they were",
    ),
]
Kept = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|URL",
        help="Keep what is made in this folder.",
        show_default="",
    ),
]


def reproduce(
    result: Result,
    sources: Sources = None,
    out: Kept = None,
    device: options.Device = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a result again from its receipts alone, and compare every array and weight.

    Ends with code 0 if all values are identical, and 1 with a table of what is not. Where the code or a library is not
    what it was, it says so, and compares all the same.

    For example:

      invae reproduce results/scan_0001

      invae reproduce results/scan_0001 --source /archive/scan_0001.ibw --out again

      invae reproduce s3://bucket/results/scan_0001
    """
    from flows.cli.commands.execute import run_all
    from invae.stages.compare import differences, digest_of
    from invae.storage.location import as_path

    folder, console = recording_of(as_path(result)), progress_console()
    receipts = receipts_of(folder)
    paths, outputs = _sources(folder, receipts, sources or []), _outputs(receipts)
    notes = changes_since(receipts)
    model = folder / stages_output("train") if is_from_elsewhere(receipts) else None
    for note in notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    with _place(out and as_path(out)) as place:
        settings, name = settings_of(receipts, device), folder.name
        run_all(paths, place, settings, name=name, model=model, console=console, verbose=verbose())
        again = place / folder.name
        digests = {name: (digest_of(folder / name), digest_of(again / name)) for name in outputs}
        others = [name for name, (then, now) in digests.items() if then != now]
        found = differences(folder, again, outputs=others)
    if as_json:
        told = {"folder": str(folder), "digests": digests, "notes": notes}
        answer(json.dumps({**told, "differences": [asdict(one) for one in found]}, indent=1))
    else:
        _tell(folder, digests, found, console)
    if others:
        raise typer.Exit(DIFFERS)


def _tell(
    folder: Path,
    digests: Mapping[str, tuple[str, str]],
    found: Sequence["Difference"],
    console: "Console",
) -> None:
    if found:
        show(found, console)
        answer(f"{folder}: not the same; {len(found)} of its arrays and files differ")
    else:
        answer(f"{folder}: identical ({', '.join(digests)})")
    for name, (then, now) in digests.items():
        answer(f"  {name:<17} {then}" + ("" if then == now else f" → {now}"))


def stages_output(stage: str) -> str:
    """Name of what a stage makes."""
    from invae.stages import stages

    return stages.STAGES[stage].output


def is_from_elsewhere(receipts: Mapping[str, "Receipt"]) -> bool:
    """Whether the model was not trained on this recording alone; then it is taken as it is."""
    return receipts["train"].inputs.get("describe") != receipts["describe"].key


def recording_of(result: Path) -> Path:
    """The folder of the recording that a store, or the folder itself, belongs to.

    Raises:
        StoreError: if there is no finished result.
    """
    from invae.errors import StoreError
    from invae.stages import stages
    from invae.storage import store

    output = stages.STAGES["analyse"].output
    is_store = result.name in {stage.output for stage in stages.STAGES.values()}
    folder = result.parent if is_store else result
    if store.read_receipt(folder / output) is None:
        raise StoreError(f"{result} holds no finished {output}; make it with `invae run`")
    return folder


def receipts_of(folder: Path) -> dict[str, "Receipt"]:
    """The receipts of the stages whose values can be compared, by stage; a report is made of pictures.

    Raises:
        StoreError: if a stage is missing.
    """
    from invae.errors import StoreError
    from invae.stages import stages
    from invae.storage import store

    found: dict[str, Receipt] = {}
    for name, stage in stages.STAGES.items():
        if name == "report":
            continue
        receipt = store.read_receipt(folder / stage.output)
        if receipt is None:
            raise StoreError(
                f"{folder / stage.output} is missing or unfinished; run `invae {name}`"
            )
        found[name] = receipt
    return found


def settings_of(
    receipts: Mapping[str, "Receipt"], device: options.DeviceName | None
) -> "ProcessConfig":
    """The configuration under which all stages were made: of every stage, the sections that it depends on."""
    from invae.config import ProcessConfig, named
    from invae.stages import stages

    values: dict[str, Any] = dict(receipts["analyse"].config)
    for name, receipt in receipts.items():
        values |= {key: receipt.config[key] for key in stages.STAGES[name].sections}
    settings = named.checked(ProcessConfig, values, prefix="config")
    return named.amended(settings, options.where(device, None))


def changes_since(receipts: Mapping[str, "Receipt"]) -> list[str]:
    """What was different when the stages were made: this package's code, and libraries under it."""
    from invae.stages import stages
    from invae.storage import provenance

    now = provenance.versions()
    then = receipts["analyse"].versions
    notes = [
        f"{library} was {then[library]}, here it is {now.get(library, 'not installed')}"
        for library in then
        if then[library] != now.get(library)
    ]
    other = [
        name
        for name, receipt in receipts.items()
        if receipt.code != stages.code_of_receipt(receipt)
    ]
    if is_from_elsewhere(receipts):
        notes.append(
            f"the model {receipts['train'].recording} was trained on other recordings and is taken as it is"
        )
        other = [name for name in other if name != "train"]
    return notes + ([f"the code of {', '.join(other)} has changed since"] if other else [])


def show(found: Sequence["Difference"], console: "Console") -> None:
    """A table of what is not the same."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("where", "what", "largest difference")
    for one in found:
        largest = f"{one.largest:.3g}" if one.largest == one.largest else ""
        table.add_row(escape(one.name), escape(one.what), largest)
    console.print(table)


def _sources(folder: Path, receipts: Mapping[str, "Receipt"], given: Sequence[Path]) -> list[Path]:
    """The recording's files, in the order in which they were taken in.

    Raises:
        InputError: if one is missing, or is not what it was.
    """
    from invae.errors import InputError
    from invae.stages import stages
    from tasks.recording_folder import read_record

    paths = list(given) or [Path(path) for path in read_record(folder).get("paths", [])]
    wanted: Sequence[Source] = receipts["ingest"].sources
    if len(paths) != len(wanted):
        raise InputError(
            f"{folder} was made from {len(wanted)} files ({', '.join(s.name for s in wanted)}), "
            f"{len(paths)} are known; give each with --source"
        )
    for path, source, then in zip(paths, stages.sources_of(paths), wanted, strict=True):
        if source.sha256 != then.sha256:
            raise InputError(
                f"{path} is not the file that {folder} was made from (sha256 {source.sha256[:12]}…, "
                f"then {then.sha256[:12]}…); give the right one with --source"
            )
    return paths


def _outputs(receipts: Mapping[str, "Receipt"]) -> list[str]:
    from invae.stages import stages

    return [stages.STAGES[name].output for name in receipts]


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    """Where to make it again: for good if asked for, else for the comparison only."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="invae-reproduce-") as folder:
        yield Path(folder)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(reproduce)
