"""`invae reproduce`: run a result again from its receipts and compare the values."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import ProcessConfig
    from invae.stages.compare import Difference
    from invae.storage.provenance import Receipt, Source

DIFFERS = 1
"""Exit code if values differ."""


Result = Annotated[
    Path,
    typer.Argument(metavar="RESULT", help="Folder of a recording, or a store in it; can be a URL."),
]
Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--source",
        metavar="FILE",
        help="Present path of a file of the recording; can be repeated.",
        show_default="the recorded paths",
    ),
]
KeepIn = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|URL",
        help="Keep the reproduced stores in this folder.",
        show_default="",
    ),
]


def reproduce(
    result: Result,
    sources: Sources = None,
    out: KeepIn = None,
    device: options.Device = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a result again from its receipts alone and compare all arrays and weights.

    The exit code is 0 if all values are identical; otherwise it is 1 and a table shows the differences. Notes tell
    if the code or a library has changed since, and if the processor or its kernels are others.

    For example:

      invae reproduce results/scan_0001

      invae reproduce results/scan_0001 --source /archive/scan_0001.ibw --out again

      invae reproduce s3://bucket/results/scan_0001
    """
    from flows.cli.commands.execute import run_all
    from invae.stages.compare import differences, digest_of
    from invae.storage import manifest
    from invae.storage.location import as_path

    folder, console = recording_of(as_path(result)), progress_console()
    receipts = receipts_of(folder)
    paths, outputs = _sources(folder, receipts, sources or []), _outputs(receipts)
    notes = changes_since(receipts)
    model = folder / stages_output("train") if is_from_elsewhere(receipts) else None
    for note in notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    _refuse_itself(folder, out and as_path(out))
    for name in outputs:
        manifest.check_bytes(folder / name)
    with _target(out and as_path(out)) as target:
        settings, name = settings_of(receipts, device), folder.name
        run_all(paths, target, settings, name=name, model=model, console=console, verbose=verbose())
        repeated = target / folder.name
        digests = {name: (digest_of(folder / name), digest_of(repeated / name)) for name in outputs}
        changed = [name for name, (then, now) in digests.items() if then != now]
        different = differences(folder, repeated, outputs=changed)
        why = other_machine(receipts, receipts_of(repeated), different)
    for note in why:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    if as_json:
        values = {"folder": str(folder), "digests": digests, "notes": [*notes, *why]}
        rows = [asdict(difference) for difference in different]
        print_result(json.dumps({**values, "differences": rows}, indent=1))
    else:
        _print_comparison(folder, digests, different, console)
    if changed:
        raise typer.Exit(DIFFERS)


def _refuse_itself(folder: Path, out: Path | None) -> None:
    """Refuse a target that is the result itself.

    Raises:
        ConfigError: It is, also through a link.
    """
    from invae.errors import ConfigError

    if out is not None and (out / folder.name).resolve() == folder.resolve():
        raise ConfigError(
            f"--out {out} would compare {folder} with itself; give another folder, or none"
        )


def _print_comparison(
    folder: Path,
    digests: Mapping[str, tuple[str, str]],
    different: Sequence["Difference"],
    console: "Console",
) -> None:
    if different:
        print_differences(different, console)
        print_result(f"{folder}: {len(different)} arrays and files differ")
    else:
        print_result(f"{folder}: identical ({', '.join(digests)})")
    for name, (then, now) in digests.items():
        print_result(f"  {name:<17} {then}" + ("" if then == now else f" → {now}"))


def stages_output(stage: str) -> str:
    """Name of the output of a stage."""
    from invae.stages import stages

    return stages.STAGES[stage].output


def is_from_elsewhere(receipts: Mapping[str, "Receipt"]) -> bool:
    """Whether the model was not trained on this recording alone; then it is not trained again."""
    return receipts["train"].inputs.get("describe") != receipts["describe"].key


def recording_of(result: Path) -> Path:
    """The folder of a recording, from itself or from a store in it.

    Raises:
        StoreError: if the recording has no finished result.
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
    """Receipts of all stages but `report`, whose figures are not compared.

    Raises:
        StoreError: if the output of a stage is missing.
    """
    from invae.errors import StoreError
    from invae.stages import stages
    from invae.storage import store

    receipts: dict[str, Receipt] = {}
    for name, stage in stages.STAGES.items():
        if name == "report":
            continue
        receipt = store.read_receipt(folder / stage.output)
        if receipt is None:
            raise StoreError(
                f"{folder / stage.output} is missing or unfinished; run `invae {name}`"
            )
        receipts[name] = receipt
    return receipts


def settings_of(
    receipts: Mapping[str, "Receipt"], device: options.DeviceName | None
) -> "ProcessConfig":
    """The configuration of the result: for every stage, the sections that it depends on."""
    from invae.config import ProcessConfig, named
    from invae.stages import stages

    values: dict[str, Any] = dict(receipts["analyse"].config)
    for name, receipt in receipts.items():
        values |= {key: receipt.config[key] for key in stages.STAGES[name].sections}
    settings = named.checked(ProcessConfig, values, prefix="config")
    return named.amended(settings, options.compute_changes(device, None))


def changes_since(receipts: Mapping[str, "Receipt"]) -> list[str]:
    """Notes on code and libraries that have changed since the result was made."""
    from invae.stages import stages
    from invae.storage import provenance

    now = provenance.versions()
    then = receipts["analyse"].versions
    notes = [
        f"{library} was {then[library]}, now {now.get(library, 'not installed')}"
        for library in then
        if then[library] != now.get(library)
    ]
    changed = [
        name
        for name, receipt in receipts.items()
        if receipt.code != stages.code_of_receipt(receipt)
    ]
    if is_from_elsewhere(receipts):
        notes.append(
            f"the model {receipts['train'].recording} was trained on other recordings and is not trained again"
        )
        changed = [name for name in changed if name != "train"]
    return notes + ([f"the code of {', '.join(changed)} has changed since"] if changed else [])


def other_machine(
    then: Mapping[str, "Receipt"], now: Mapping[str, "Receipt"], different: Sequence["Difference"]
) -> list[str]:
    """A note that the values differ because the processor or its kernels do, with the size; none if neither differs."""
    if not different:
        return []
    parts = {
        f"{part}: {old}, now {now[name].machine[part]}": None
        for name, receipt in then.items()
        for part, old in receipt.machine.items()
        if now[name].machine.get(part, old) != old
    }
    if not parts:
        return []
    largest = max(different, key=lambda each: each.largest if each.largest == each.largest else -1)
    size = f"; the largest difference is {largest.largest:.3g} ({largest.name})"
    return [
        f"the values differ because the machine does ({'; '.join(parts)}): other kernels sum in another order, which changes "
        f"the last digits, and training and clusters make that larger{size if largest.largest == largest.largest else ''}"
    ]


def print_differences(different: Sequence["Difference"], console: "Console") -> None:
    """Print a table of the differences."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("array or file", "difference", "largest")
    for each in different:
        largest = f"{each.largest:.3g}" if each.largest == each.largest else ""
        table.add_row(escape(each.name), escape(each.what), largest)
    console.print(table)


def _sources(folder: Path, receipts: Mapping[str, "Receipt"], paths: Sequence[Path]) -> list[Path]:
    """Files of the recording in the order of ingest.

    Raises:
        InputError: if a file is missing or its content has changed.
    """
    from invae.errors import InputError
    from invae.stages import stages
    from tasks.recording_folder import read_record

    paths = list(paths) or [Path(path) for path in read_record(folder).get("paths", [])]
    recorded: Sequence[Source] = receipts["ingest"].sources
    if len(paths) != len(recorded):
        raise InputError(
            f"{folder} was made from {len(recorded)} files ({', '.join(s.name for s in recorded)}), "
            f"{len(paths)} are known; give each with --source"
        )
    for path, source, then in zip(paths, stages.sources_of(paths), recorded, strict=True):
        if source.sha256 != then.sha256:
            raise InputError(
                f"{path} is not the file that {folder} was made from (sha256 {source.sha256[:12]}…, "
                f"recorded {then.sha256[:12]}…); give the original with --source"
            )
    return paths


def _outputs(receipts: Mapping[str, "Receipt"]) -> list[str]:
    from invae.stages import stages

    return [stages.STAGES[name].output for name in receipts]


@contextmanager
def _target(out: Path | None) -> Iterator[Path]:
    """The folder to reproduce into; a temporary one if none is given."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="invae-reproduce-") as folder:
        yield Path(folder)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)
