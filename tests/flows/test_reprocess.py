"""Recordings under another configuration: beside what there was, only what the change touches, and what changed is told."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr
import yaml

from flows.cli.main import execute
from invae.stages import stages, versions
from invae.storage import store

TIMEOUT = 300


@pytest.fixture
def out(undisturbed, tmp_path):
    """Two finished recordings under one configuration."""
    for name in ("domains", "domains_2"):
        shutil.copytree(undisturbed.folder, tmp_path / "results" / name)
    return tmp_path / "results"


@pytest.fixture
def pinned(undisturbed, tmp_path):
    """Writes the configuration of the finished recordings, changed, into a file."""

    def write(**sections: dict[str, object]) -> str:
        values = undisturbed.config.model_dump(mode="json") | {"version": "3"}
        for section, settings in sections.items():
            values[section] |= settings
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    return write


def versions_in(out: Path) -> list[Path]:
    return sorted((out / versions.FOLDER).glob("[!.]*/[!.]*"))


def test_only_what_the_change_touches_is_made_beside_what_there_was(
    prefect_server, out, pinned, capsys
):
    config = pinned(report={"dpi": 60}, analyse={"traversal_steps": 4})
    before = (out / "domains" / "result.zarr" / "zarr.json").read_bytes()
    command = ["reprocess", "domains", "--config", config, "--out", str(out)]
    assert execute([*command, "--json"]) == 0
    captured = capsys.readouterr()
    (told,) = json.loads(captured.out)
    assert told["made"] == ["analyse", "report"]
    assert told["kept"] == ["ingest", "describe", "train", "embed"]
    (folder,) = versions_in(out)
    assert told["folder"] == str(folder)
    assert folder.parent.name.startswith("demo@3-")
    assert sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) == sorted(
        [stage.output for stage in stages.STAGES.values()] + ["run.json"]
    )
    assert (out / "domains" / "result.zarr" / "zarr.json").read_bytes() == before
    traversal = xr.open_zarr(folder / "result.zarr", group="traversal", consolidated=False)
    assert traversal["manifold"].sizes["latent_1"] == 4
    for name, (then, now) in told["digests"].items():
        assert (then == now) == (name != "result.zarr")
    for file in filter(Path.is_file, (out / "domains" / "recording.zarr").rglob("*")):
        twin = folder / file.relative_to(out / "domains")
        assert twin.samefile(file), "what both have in common is on the disk once"
    assert "domains, train: unchanged" in captured.err
    assert "domains, analyse: made in" in captured.err

    assert execute(command) == 0, "again: nothing to do"
    captured = capsys.readouterr()
    assert "made in" not in captured.err
    assert captured.out.splitlines()[0] == f"domains: unchanged ({folder})"
    assert "result.zarr" in captured.out.partition("┃ quantity")[2]

    record = json.loads((folder / "run.json").read_text())
    assert record["config"]["version"] == "3"
    assert set(record["stages"]) == set(stages.STAGES)
    assert execute(["reproduce", str(folder), "--out", str(out / "again")]) == 0


def test_one_recording_that_fails_does_not_stop_the_others(prefect_server, out, pinned, capsys):
    shutil.rmtree(out / "domains" / "embedding.zarr" / "content" / "c")
    for name in ("model.json", "model.safetensors"):
        (out / "domains" / "model" / name).unlink()
    config = pinned(analyse={"traversal_steps": 4})
    assert execute(["reprocess", "--config", config, "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert "domains: failed" in captured.out
    assert "domains_2: made analyse, report" in captured.out
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("invae: ")
    assert "embedding.zarr is damaged" in last


def test_files_that_are_gone_are_needed_only_where_they_are_taken_in_anew(out, pinned, capsys):
    record = json.loads((out / "domains" / "run.json").read_text())
    for name in ("domains", "domains_2"):
        (out / name / "run.json").write_text(json.dumps({**record, "paths": ["/gone/scan.h5"]}))
    words = ["reprocess", "--out", str(out), "--dry-run", "--config"]
    assert execute([*words, pinned()]) == 0
    assert "domains: unchanged" in capsys.readouterr().out
    assert execute([*words, pinned(training={"epochs": 4})]) == 0
    assert "domains: runs train, embed, analyse, report" in capsys.readouterr().out
    assert execute([*words, pinned(ingest={"pixel_size": 3.0})]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2
    assert errors[0] == (
        "invae: domains: ingest.pixel_size changed, which needs its source files, and /gone/scan.h5 "
        "is missing; restore it, or keep these settings"
    )
    assert not (out / versions.FOLDER).exists()


def test_recordings_are_chosen_by_name_day_and_configuration(out, pinned, capsys):
    config = pinned(report={"dpi": 62})
    words = ["reprocess", "--config", config, "--out", str(out), "--dry-run"]

    def chosen(*more: str) -> list[str]:
        assert execute([*words, *more]) == 0
        return [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]

    receipt = store.read_receipt(out / "domains" / "recording.zarr")
    assert receipt is not None
    today = receipt.created[:10]
    assert chosen() == chosen("--since", today) == chosen("--until", today[:7])
    assert chosen("*_2") == ["domains_2"]
    record = json.loads((out / "domains" / "run.json").read_text())
    record["config"]["name"] = "another"
    (out / "domains" / "run.json").write_text(json.dumps(record))
    assert chosen() == ["domains_2"]
    assert chosen("*") == ["domains", "domains_2"]
    for wrong, message in (
        (["nothing*"], "holds no recording 'nothing*'; it has domains, domains_2"),
        (["--since", "soon"], "--since 'soon' is not a date; give YYYY, YYYY-MM or YYYY-MM-DD"),
        (["--until", "2001"], "holds no such recording"),
    ):
        assert execute([*words, *wrong]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["describe", "train", "embed", "analyse", "report"])
def test_killed_in_any_stage_the_same_command_finishes_with_the_same_values(
    stage, prefect_server, out, pinned, tmp_path
):
    config = pinned(describe={"patches": {"window": 20}})
    calm = shutil.copytree(out, tmp_path / "calm")
    words = ["reprocess", "domains", "--config", config, "--out"]
    assert execute([*words, str(calm)]) == 0
    command = [sys.executable, "-m", "flows.cli.main", *words, str(out)]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    end = time.monotonic() + TIMEOUT
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while not list((out / versions.FOLDER).glob(f"*/*/.{stages.STAGES[stage].output}.*/*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    subprocess.run(command, env=environment, check=True, timeout=TIMEOUT)
    from invae.stages.compare import digests

    (undisturbed,), (folder,) = versions_in(calm), versions_in(out)
    assert [change.what for change in digests(undisturbed, folder) if change.differs] == []
    assert not list(folder.glob(".*.partial"))
