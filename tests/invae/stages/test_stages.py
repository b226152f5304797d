"""Keys say what a stage depends on: content, settings and code; nothing else."""

import ast
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from invae.config import ComputeConfig, ProcessConfig, kinds
from invae.config.kinds import KINDS
from invae.config.model_kinds import MODEL_KINDS
from invae.errors import InputError, StoreError
from invae.stages import stages
from invae.storage import code_digest, provenance, store
from invae.storage.provenance import Source

ROOT = Path(__file__).parents[3]


def keys(config: ProcessConfig, digest: str = "a" * 64) -> dict[str, str]:
    sources = [Source("scan.ibw", digest, 1)]
    return {step.stage.name: step.key for step in stages.plan(Path("nowhere"), sources, config)}


def changed(section: str, **values: object) -> ProcessConfig:
    return ProcessConfig.model_validate({section: values})


@pytest.mark.parametrize(
    ("section", "values", "first"),
    [
        ("ingest", {"pixel_size": 3.0}, "ingest"),
        ("describe", {"sites": {"spacing": 7}}, "describe"),
        ("model", {"latent_dim": 3}, "train"),
        ("training", {"epochs": 7}, "train"),
        ("embed", {"batch_size": 8}, "embed"),
        ("analyse", {"max_clusters": 3}, "analyse"),
        ("report", {"dpi": 200}, "report"),
    ],
)
def test_a_setting_changes_its_own_stage_and_those_after_it(section, values, first):
    before, after = keys(ProcessConfig()), keys(changed(section, **values))
    names = list(stages.STAGES)
    different = [name for name in names if before[name] != after[name]]
    assert different == names[names.index(first) :]


def test_where_it_runs_and_what_the_configuration_is_called_are_in_no_key():
    elsewhere = ProcessConfig(
        name="other", version="7", compute=ComputeConfig(device="cpu", workers=3)
    )
    assert keys(elsewhere) == keys(ProcessConfig())
    assert stages.config_hash(elsewhere) == stages.config_hash(ProcessConfig())


def test_the_seed_matters_from_the_first_random_stage_on():
    before, after = keys(ProcessConfig()), keys(ProcessConfig(seed=1))
    assert [n for n in before if before[n] != after[n]] == ["train", "embed", "analyse", "report"]


def test_other_content_changes_every_key():
    before, after = keys(ProcessConfig()), keys(ProcessConfig(), "b" * 64)
    assert not set(before.values()) & set(after.values())


def test_a_renamed_copy_has_the_same_key(tmp_path):
    scan = tmp_path / "scan.npy"
    scan.write_bytes(b"12345")
    copy = Path(shutil.copy(scan, tmp_path / "copy.npy"))
    receipts = [
        stages.receipt_of_recording(tmp_path, stages.sources_of([path]), ProcessConfig())
        for path in (scan, copy)
    ]
    assert receipts[0].key == receipts[1].key
    assert [receipt.sources[0].name for receipt in receipts] == ["scan.npy", "copy.npy"]


def test_a_file_that_changed_under_the_same_name_is_read_again(tmp_path):
    scan = tmp_path / "scan.npy"
    scan.write_bytes(b"12345")
    before = stages.sources_of([scan])
    scan.write_bytes(b"123456")
    assert stages.sources_of([scan]) != before


def test_a_recording_has_changed_when_a_file_beside_it_has(tmp_path):
    scan, settings = tmp_path / "scan.npy", tmp_path / "scan.json"
    scan.write_bytes(b"pixels")
    (alone,) = stages.sources_of([scan])
    settings.write_text('{"pixel_size": 1}')
    (first,) = stages.sources_of([scan])
    settings.write_text('{"pixel_size": 2}')
    (second,) = stages.sources_of([scan])
    assert len({alone.sha256, first.sha256, second.sha256}) == 3
    assert alone.sha256 == provenance.digest_path(scan).sha256
    assert first.name == "scan.npy"
    assert first.n_bytes == len(b"pixels") + len(settings.read_bytes())


def test_a_store_of_which_one_file_changed_is_read_again(tmp_path):
    chunk = tmp_path / "scan.zarr" / "height" / "c" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"12345")
    before = stages.sources_of([tmp_path / "scan.zarr"])
    assert stages.sources_of([tmp_path / "scan.zarr"]) == before
    chunk.write_bytes(b"12346")
    assert stages.sources_of([tmp_path / "scan.zarr"]) != before


@pytest.mark.parametrize("stage", stages.STAGES.values(), ids=lambda stage: stage.name)
def test_the_code_of_a_stage_is_all_that_its_task_runs(stage):
    tree = ast.parse((ROOT / "tasks" / f"{stage.name}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {name.module for node in imports for name in code_digest._names(node)}
    run = {name for name in modules if name.startswith("invae.") and code_digest.computes(name)}
    of_models = {stage.module_for(row) for row in MODEL_KINDS.values()}
    named = any(row.module(stage.name) for row in MODEL_KINDS.values())
    assert named or stage.module in run
    own = {module for row in KINDS.values() for module in row.modules(stage.name)}
    assert run <= code_digest.imported_by(*of_models, *own)


def key_of_ingest(path: Path, **settings: object) -> str:
    """The key under which a file is ingested, read afresh."""
    stages._digest_of_state.cache_clear()
    config = ProcessConfig.model_validate({"ingest": settings})
    (source,) = stages.sources_of([path])
    return stages.receipt_of_recording(path.parent, (source,), config).key


@pytest.fixture
def image(tmp_path) -> Path:
    np.save(tmp_path / "image.npy", np.random.default_rng(0).normal(size=(8, 9)))
    return tmp_path / "image.npy"


def with_code(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let one module have other code."""
    unchanged = code_digest.own_digest.__wrapped__
    code_digest.own_digest.cache_clear()
    code_digest.code_digest.cache_clear()
    monkeypatch.setattr(
        code_digest, "own_digest", lambda name: "other" if name == module else unchanged(name)
    )


@pytest.fixture(autouse=True)
def _code_is_read_again() -> Iterator[None]:
    yield
    code_digest.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("invae.readers.formats.npy", True),
        ("invae.readers.formats.gwy", False),
        ("invae.readers.formats.nsid", False),
        ("invae.readers.recording", True),
        ("invae.readers.ingest", True),
        ("invae.report.style", False),
    ],
)
def test_the_key_of_ingest_holds_the_reader_that_is_used_and_no_other(
    image, monkeypatch, module, changes
):
    before = key_of_ingest(image)
    with_code(monkeypatch, module)
    assert (key_of_ingest(image) != before) is changes


def test_a_reader_named_in_the_configuration_is_in_the_key(image, monkeypatch):
    before = key_of_ingest(image, format="npy")
    with_code(monkeypatch, "invae.readers.formats.npy")
    assert key_of_ingest(image, format="npy") != before


@pytest.mark.parametrize(
    ("stage", "module", "changed"),
    [
        ("describe", "invae.descriptors.domains.walls", {"walls"}),
        ("describe", "invae.descriptors.atoms.find", {"atoms"}),
        ("describe", "invae.descriptors.layout", {*KINDS}),
        ("analyse", "invae.analysis.diffraction.lattice", {"patterns"}),
        ("analyse", "invae.analysis.outliers", {"atoms", "dense"}),
        ("analyse", "invae.analysis.clusters", {*KINDS}),
        ("report", "invae.report.atoms.vacancies", {"atoms"}),
        ("report", "invae.results.diffraction", {"patterns"}),
        ("report", "invae.report.page", {*KINDS}),
    ],
)
def test_the_key_of_a_stage_holds_the_code_of_its_own_kind(monkeypatch, stage, module, changed):
    def codes() -> dict[str, str]:
        return {n: stages.code_of(stages.STAGES[stage], kind=row) for n, row in KINDS.items()}

    before = codes()
    with_code(monkeypatch, module)
    after = codes()
    assert {name for name in KINDS if before[name] != after[name]} == changed


def test_the_key_of_a_report_holds_the_words_that_it_writes(monkeypatch):
    before = keys(ProcessConfig())
    row = replace(KINDS["walls"], site="point of a wall")
    monkeypatch.setattr(kinds, "KINDS", {**KINDS, "walls": row})
    after = keys(ProcessConfig())
    assert {name for name in before if before[name] != after[name]} == {"report"}


def test_the_receipt_of_a_recording_names_its_reader(image):
    (source,) = stages.sources_of([image])
    assert source.reader == "invae.readers.formats.npy"
    receipt = stages.receipt_of_recording(image.parent, (source,), ProcessConfig())
    assert provenance.Receipt.from_json(receipt.to_json()).sources == (source,)
    assert stages.code_of_receipt(receipt) == receipt.code


def test_a_receipt_from_before_readers_were_kept_still_opens():
    old = {"name": "scan.ibw", "sha256": "a" * 64, "n_bytes": 1}
    assert Source(**old).reader == ""


def test_a_file_that_no_reader_recognises_has_a_key(tmp_path):
    (tmp_path / "scan.unknown").write_bytes(b"12345")
    (source,) = stages.sources_of([tmp_path / "scan.unknown"])
    assert source.reader == ""


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["scan_0001.ibw"], "scan_0001"),
        (["a b/../x.h5"], "x"),
        (["PZT_final0001.h5", "PZT_final0002.h5", "PZT_final0003.h5"], "PZT_final0001-0003"),
        (["s0001.h5", "s0003.h5"], "s0001+0003"),
        (["up.h5", "down.h5"], "up+1"),
        (["..h5"], "recording"),
        (["<img src=x>.h5"], "img_src_x"),
        (["Größe µm.h5"], "Größe_µm"),
        (["x" * 300 + ".h5"], "x" * 111 + "-" + hashlib.sha256(b"x" * 300).hexdigest()[:8]),
    ],
)
def test_a_recording_is_named_after_its_files(files, name):
    assert stages.name_of([Path(file) for file in files]) == name


@pytest.mark.parametrize("name", ["../up", "/root", ".hidden", "a/b", ""])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="not usable as a folder"):
        stages.folder_of([Path("scan.ibw")], tmp_path, name)


def test_numbers_in_names_sort_by_value():
    paths = [Path("scan_10.ibw"), Path("scan_9.ibw"), Path("Scan_1.ibw")]
    assert [p.name for p in stages.in_order(paths, "name")] == [
        "Scan_1.ibw",
        "scan_9.ibw",
        "scan_10.ibw",
    ]
    assert stages.in_order(paths, "given") == paths


def test_a_missing_input_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(StoreError, match=r"recording.zarr is missing .* run `invae ingest` first"):
        stages.receipt_of(stages.STAGES["describe"], tmp_path, ProcessConfig())


def test_a_later_receipt_follows_from_those_before_it(tmp_path):
    source = tmp_path / "scan.npy"
    source.write_bytes(b"12345")
    config, folder = ProcessConfig(), tmp_path / "scan"
    (folder / "recording.zarr").mkdir(parents=True)
    first = stages.receipt_of_recording(folder, stages.sources_of([source]), config)
    store.write_receipt(folder / "recording.zarr", first)
    second = stages.receipt_of(stages.STAGES["describe"], folder, config)
    plan = {
        step.stage.name: step for step in stages.plan(folder, stages.sources_of([source]), config)
    }
    assert second.key == plan["describe"].key
    assert second.sources == first.sources
    assert second.inputs == {"ingest": first.key}
    assert [plan["ingest"].current, plan["describe"].current] == [True, False]


@pytest.mark.parametrize(
    ("stage", "module", "changed"),
    [
        ("train", "invae.pairs.fitting", {"pairs"}),
        ("train", "invae.training.vae_training", {"vae"}),
        ("train", "invae.training.fit", {"vae", "pairs"}),
        ("embed", "invae.pairs.embed", {"pairs"}),
        ("embed", "invae.embedding.embed", {"vae"}),
        ("analyse", "invae.analysis.pairs.verdict", {"pairs"}),
        ("analyse", "invae.analysis.clusters", {"vae"}),
    ],
)
def test_the_key_of_a_stage_holds_the_code_of_its_own_kind_of_model(
    monkeypatch, stage, module, changed
):
    def codes() -> dict[str, str]:
        of = {"vae": KINDS["walls"], "pairs": KINDS["pairs"]}
        return {
            name: stages.code_of(stages.STAGES[stage], kind=of[name], model=row)
            for name, row in MODEL_KINDS.items()
        }

    before = codes()
    with_code(monkeypatch, module)
    after = codes()
    assert {name for name in before if before[name] != after[name]} == changed


def test_long_names_fit_into_a_file_system_and_stay_different():
    """Letters of three bytes each: the folder, its lock and its hidden stores have at most 255 bytes."""
    one, other = (stages.safe_name("漢" * 80 + "_" + "字" * 80 + end) for end in "ab")
    assert one != other
    assert max(len(f".{name}.lock".encode()) for name in (one, other)) < 200
    assert stages.safe_name(one) == one
    assert stages.safe_name("a" * 120) == "a" * 120


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path):
    path = tmp_path / "scan.npy"
    path.write_bytes(b"a" * 100)
    before = stages.sources_of([path])[0].sha256
    state = path.stat()
    path.write_bytes(b"b" * 100)  # the same inode and size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert stages.sources_of([path])[0].sha256 != before
