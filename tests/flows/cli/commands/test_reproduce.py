"""A result is run again from its receipts and compared value by value."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from flows.cli.main import execute
from invae.stages.compare import digest_of
from invae.storage import machine, manifest, store


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(undisturbed.folder, tmp_path / "copy" / undisturbed.folder.name)


def test_the_same_files_settings_and_code_give_identical_values(prefect_server, copy, capsys):
    assert execute(["reproduce", str(copy / "result.zarr")]) == 0
    answer, *digests = capsys.readouterr().out.splitlines()
    stores = ["recording.zarr", "descriptors.zarr", "model", "embedding.zarr", "result.zarr"]
    assert answer == f"{copy}: identical ({', '.join(stores)})"
    assert [line.split() for line in digests] == [[n, digest_of(copy / n)] for n in stores]


def test_a_changed_value_is_named(prefect_server, copy, capsys, tmp_path, undisturbed):
    content = zarr.open_array(copy / "embedding.zarr" / "content", mode="r+")
    content[0, 0] = np.asarray(content[0, 0]) + 1
    manifest.write(copy / "embedding.zarr")
    assert execute(["reproduce", str(copy), "--out", str(undisturbed.out)]) == 1
    captured = capsys.readouterr()
    first, *digests = captured.out.splitlines()
    assert first == f"{copy}: 1 arrays and files differ"
    assert [line.split()[0] for line in digests if "→" in line] == ["embedding.zarr"]
    assert "embedding.zarr/content" in captured.err
    assert "1 of" in captured.err


def made_on(store_path: Path, **machine: str) -> None:
    """Forge the receipt of a store: made on another machine."""
    root = zarr.open_group(store_path, mode="r+")
    receipt: Any = root.attrs["receipt"]
    root.attrs["receipt"] = {**receipt, "machine": {**receipt["machine"], **machine}}
    manifest.write(store_path)


def test_the_receipt_names_processor_and_kernels(copy):
    for name in ("descriptors.zarr", "model", "result.zarr"):
        receipt = store.read_receipt(copy / name)
        assert receipt is not None
        assert receipt.machine["processor"] == machine.processor()
        assert "openblas" in receipt.machine["linear algebra"]
    trained = store.read_receipt(copy / "model")
    assert trained is not None
    assert trained.machine["torch"] == torch.backends.cpu.get_cpu_capability()


def test_another_processor_is_told_only_where_values_differ(
    prefect_server, copy, capsys, undisturbed
):
    made_on(copy / "embedding.zarr", processor="Other CPU", torch="AVX1024")
    assert execute(["reproduce", str(copy), "--out", str(undisturbed.out)]) == 0
    assert "machine" not in capsys.readouterr().err
    content = zarr.open_array(copy / "embedding.zarr" / "content", mode="r+")
    content[0, 0] = np.asarray(content[0, 0]) + 0.25
    manifest.write(copy / "embedding.zarr")
    assert execute(["reproduce", str(copy), "--out", str(undisturbed.out)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"processor: Other CPU, now {machine.processor()}; torch: AVX1024, now " in said
    assert "the largest difference is 0.25 (embedding.zarr/content)" in said


@pytest.mark.slow
def test_values_of_another_instruction_set_are_explained(prefect_server, copy, tmp_path):
    command = [sys.executable, "-m", "flows.cli.main", "reproduce", str(copy), "--json"]
    kernels = {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Nehalem"}
    environment = {**os.environ, **kernels, "PREFECT_API_URL": prefect_server}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 1, made.stderr
    told = json.loads(made.stdout)
    (note,) = told["notes"]
    assert "torch: " in note
    assert ", now DEFAULT" in note
    assert "linear algebra: openblas " in note
    assert "now openblas Nehalem" in note
    differing = [row["largest"] for row in told["differences"] if row["name"].startswith("model")]
    assert differing


def test_another_file_is_refused(copy, capsys, tmp_path):
    other = shutil.copytree(json.loads((copy / "run.json").read_text())["paths"][0], tmp_path / "o")
    (other / "more").write_text("x")
    assert execute(["reproduce", str(copy), "--source", str(other)]) == 1
    assert f"{other} is not the file that {copy} was made from" in capsys.readouterr().err


def test_unknown_files_are_asked_for(copy, capsys):
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "paths": []}))
    assert execute(["reproduce", str(copy)]) == 1
    assert "give each with --source" in capsys.readouterr().err


def test_a_folder_without_a_result_is_refused(tmp_path, capsys):
    assert execute(["reproduce", str(tmp_path)]) == 1
    assert "holds no finished result.zarr" in capsys.readouterr().err


def test_changed_code_and_libraries_are_noted(copy, capsys, undisturbed):
    for path in (copy / "result.zarr", copy / "embedding.zarr"):
        root = zarr.open_group(path, mode="r+")
        receipt: Any = root.attrs["receipt"]
        root.attrs["receipt"] = {
            **receipt,
            "code": "0" * 64,
            "versions": {**receipt["versions"], "torch": "1.0"},
        }
        manifest.write(path)
    assert execute(["reproduce", str(copy), "--out", str(undisturbed.out)]) == 0
    notes = " ".join(capsys.readouterr().err.split())
    assert "note: torch was 1.0, now " in notes
    assert "note: the code of embed, analyse has changed since" in notes


def test_a_damaged_store_is_named_before_anything_runs(copy, capsys, tmp_path):
    content = zarr.open_array(copy / "embedding.zarr" / "content", mode="r+")
    content[0, 0] = np.asarray(content[0, 0]) + 1
    assert execute(["reproduce", str(copy), "--out", str(tmp_path / "again")]) == 1
    assert "embedding.zarr is damaged: content/c/" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_a_result_is_not_compared_with_itself(copy, capsys, tmp_path):
    (tmp_path / "link").symlink_to(copy.parent)
    for out in (copy.parent, tmp_path / "link"):
        assert execute(["reproduce", str(copy), "--out", str(out)]) == 1
        assert "with itself" in capsys.readouterr().err
