"""All stages by URL: the values of a run in a folder, on an object store."""

import json
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import yaml

from flows.cli.main import execute
from invae.stages import stages
from invae.storage import store
from invae.storage.location import as_path


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that was computed, by its name in the recording's folder."""
    files = [p for p in folder.rglob("*") if "c" in p.parts or p.suffix in (".safetensors", ".png")]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files if p.is_file()}


def test_a_recording_is_taken_in_by_url(recording, s3_bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = as_path(f"s3://{s3_bucket}/{uuid4().hex}")
    words = ["ingest", str(recording), "--config", "demo", "--set", "ingest.shard_mb=0.1"]
    assert execute([*words, "--out", str(out)]) == 0
    made = out / recording.stem / "recording.zarr"
    assert capsys.readouterr().out.strip() == str(made)
    source, found = (store.open_store(path) for path in (recording, made))
    for name in found.data_vars:
        np.testing.assert_array_equal(found[name], source[name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_by_url_makes_what_a_run_in_a_folder_makes(
    undisturbed, s3_bucket, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(undisturbed.config.model_dump(mode="json")))
    out = as_path(f"s3://{s3_bucket}/{uuid4().hex}")
    words = ["run", str(undisturbed.source), "--config", str(path), "--out", str(out)]
    assert execute(words) == 0
    folder = out / undisturbed.folder.name
    assert capsys.readouterr().out.strip() == str(folder / "report" / "index.html")
    expected, found = contents(undisturbed.folder), contents(folder)
    assert len(expected) > 20
    assert found == expected
    for stage in stages.STAGES.values():
        made, like = (store.read_receipt(f / stage.output) for f in (folder, undisturbed.folder))
        assert made is not None
        assert like is not None
        assert made.key == like.key
    assert not any(b"secret-of-the-tests" in p.read_bytes() for p in folder.rglob("*"))
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []

    assert execute(words) == 0
    assert capsys.readouterr().err.count("unchanged") == len(stages.STAGES)
    assert execute(["info", str(folder / "result.zarr")]) == 0
    assert "[provenance]" in capsys.readouterr().out
    assert execute(["report", "--out", str(out), "--set", "report.dpi=60"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report")


@pytest.fixture
def there(undisturbed, s3_bucket) -> Path:
    """A finished recording on an object store."""
    out = as_path(f"s3://{s3_bucket}/{uuid4().hex}")
    folder = out / undisturbed.folder.name
    for stage in stages.STAGES.values():
        store.share(undisturbed.folder / stage.output, folder / stage.output)
    (folder / "run.json").write_text((undisturbed.folder / "run.json").read_text())
    return folder


@pytest.mark.slow
def test_a_recording_is_had_again_by_url(undisturbed, there, tmp_path, monkeypatch, capsys):
    """Reprocessed beside what there is, with a model from elsewhere too; reproduced; exported."""
    monkeypatch.chdir(tmp_path)
    values = undisturbed.config.model_dump(mode="json") | {"version": "3"}
    values["analyse"]["traversal_steps"] = 4
    Path("config.yaml").write_text(yaml.safe_dump(values))
    words = ["reprocess", "--config", "config.yaml", "--out", str(there.parent)]
    for more, made in (
        ([], ["analyse", "report"]),
        (["--model", str(undisturbed.folder / "model")], []),
    ):
        assert execute([*words, *more, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert told["made"] == made
        assert told["folder"].startswith(f"{there.parent}/versions/demo@3-")
        assert [name for name, (then, now) in told["digests"].items() if then != now] == [
            "result.zarr"
        ]
    version = as_path(told["folder"])
    assert execute(["reproduce", str(version / "result.zarr")]) == 0
    assert capsys.readouterr().out.startswith(f"{version}: identical (recording.zarr, ")
    assert execute(["export", str(version), "--to", "csv"]) == 0
    assert capsys.readouterr().out.strip() == str(version / "result.csv")
    assert execute(["export", str(version), "--to", "csv", "--out", "sites.csv"]) == 0
    assert Path("sites.csv").read_bytes() == (version / "result.csv").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["config.yaml", "sites.csv"]


def test_a_recording_is_not_read_by_url(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute(["run", "s3://bucket/scan.ibw"]) == 1
    told = "s3://bucket/scan.ibw: recordings are read from folders; copy it into one"
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_url_with_a_key_in_it_is_refused_without_showing_it(recording, capsys):
    words = ["run", str(recording), "--out", "s3://key:secret@bucket/results"]
    assert execute(words) == 1
    told = capsys.readouterr().err
    assert "an address has a password or key in it; set it in the environment" in told
    assert "secret" not in told


def test_watching_into_an_object_store_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute(["watch", str(tmp_path), "--out", "s3://bucket/results"]) == 1
    assert (
        "s3://bucket/results: the ledger of a watched folder can only go into a folder"
        in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_not_there_is_one_line(recording, s3_bucket, capsys):
    words = ["run", str(recording), "--out", "s3://no-such-bucket/results"]
    assert execute(words) == 1
    assert "no such bucket; make it" in capsys.readouterr().err.strip().splitlines()[-1]
