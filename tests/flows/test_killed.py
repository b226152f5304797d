"""Killed at any moment, the same command finishes with the values of an undisturbed run."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from flows.process import process
from invae.config import named
from invae.config.plasmons import PlasmonsConfig
from invae.stages import stages
from invae.synthetic.plasmons import simulate as simulate_plasmons
from tests.flows import as_undisturbed
from tests.flows.as_undisturbed import PATIENCE, wait_for
from tests.flows.conftest import Run

PAIRS = (
    "model.latent_dim=4",
    "training.epochs=4",
    "training.checkpoint_seconds=0",
    "report.dpi=50",
    "compute.device=cpu",
)


def command_of(run: Run, folder: Path) -> list[str]:
    """The command line of an undisturbed run, with another output folder."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(run.config.model_dump(mode="json")))
    words = ["run", str(run.source), "--config", str(path), "--out", str(folder / "out")]
    return [sys.executable, "-m", "flows.cli.main", *words]


@pytest.fixture
def command(prefect_server, undisturbed, tmp_path):
    """The command line of the undisturbed run, with another output folder."""
    return command_of(undisturbed, tmp_path)


@pytest.fixture(scope="module", params=["eels-im2spec", "clusters-dual"])
def undisturbed_pairs(request, prefect_server, tmp_path_factory) -> Run:
    """What one run of pairs of image and spectrum makes."""
    folder = tmp_path_factory.mktemp("pairs")
    kind = {"eels-im2spec": "assembly", "clusters-dual": "clusters"}[request.param]
    number = {"assembly": "n_assemblies=2", "clusters": "n_clusters=40"}[kind]
    settings = named.changed({}, [f"sample.kind={kind}", f"sample.{number}"])
    config = PlasmonsConfig.model_validate(settings)
    simulate_plasmons(folder / "plasmons.zarr", config=config, seed=1)
    chosen = named.load(request.param, changes=PAIRS)
    process([str(folder / "plasmons.zarr")], str(folder / "out"), chosen)
    return Run(folder / "plasmons.zarr", folder / "out", chosen)


def start(command: list[str], server: str) -> subprocess.Popen:
    environment = {**os.environ, "PREFECT_API_URL": server}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_in(stage: str, process: subprocess.Popen, folder: Path) -> None:
    """Kill a run while it is in a stage."""
    wait_for(stage, folder, ended=lambda: process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert not (folder / stages.STAGES[stage].output).exists()


def finish(command: list[str], server: str) -> str:
    with start(command, server) as process:
        answer, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return answer


def check(stage: str, command: list[str], server: str, undisturbed) -> None:
    folder = Path(command[-1]) / undisturbed.folder.name
    with start(command, server) as process:
        kill_in(stage, process, folder)
    assert finish(command, server).strip() == str(folder / "report" / "index.html")
    as_undisturbed.check(folder, undisturbed.folder)


def test_a_run_killed_while_it_trains_finishes_with_the_same_values(
    command, prefect_server, undisturbed
):
    check("train", command, prefect_server, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(stages.STAGES))
def test_a_run_killed_in_any_stage_finishes_with_the_same_values(
    stage, command, prefect_server, undisturbed
):
    check(stage, command, prefect_server, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(stages.STAGES))
def test_a_run_of_pairs_killed_in_any_stage_finishes_with_the_same_values(
    stage, prefect_server, undisturbed_pairs, tmp_path
):
    check(stage, command_of(undisturbed_pairs, tmp_path), prefect_server, undisturbed_pairs)


@pytest.mark.slow
def test_a_server_killed_on_the_way_costs_no_values(command, undisturbed, tmp_path):
    folder = Path(command[-1]) / undisturbed.folder.name
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    process = subprocess.Popen(
        command,
        env={**environment, "PREFECT_HOME": str(tmp_path / "prefect")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        while not (folder / "descriptors.zarr").exists():
            assert process.poll() is None
            time.sleep(0.01)
        for child in psutil.Process(process.pid).children():
            child.kill()
        answer, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert answer.strip() == str(folder / "report" / "index.html")
    as_undisturbed.check(folder, undisturbed.folder)


def test_a_second_run_on_the_same_output_is_refused_in_one_line(
    command, prefect_server, undisturbed
):
    folder = Path(command[-1]) / undisturbed.folder.name
    with start(command, prefect_server) as first:
        while not (folder / "run.json").exists():
            assert first.poll() is None
            time.sleep(0.01)
        with start(command, prefect_server) as second:
            _, errors = second.communicate(timeout=PATIENCE)
        assert second.returncode == 1
        assert f"is being worked on by process {first.pid}" in errors
        assert len(errors.strip().splitlines()) == 1
        first.kill()
        first.communicate()


def rerun_of_a_finished_recording(undisturbed, tmp_path) -> float:
    """CPU time of a process that runs what is finished [s]; it brings in none of the heavy libraries."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(undisturbed.config.model_dump(mode="json")))
    code = (
        "import sys\nfrom flows.cli.main import execute\n"
        f"words = ['run', {str(undisturbed.source)!r}, '--config', {str(path)!r}]\n"
        f"assert execute([*words, '--out', {str(undisturbed.out)!r}]) == 0\n"
        "print([m for m in ('torch', 'prefect', 'dask', 'distributed') if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.stdout.splitlines()[-1] == "[]", answer.stderr
    assert answer.stderr.count("unchanged") == len(stages.STAGES)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_rerun_of_a_finished_recording_brings_in_neither_torch_nor_prefect_nor_a_cluster(
    undisturbed, tmp_path
):
    seconds = rerun_of_a_finished_recording(undisturbed, tmp_path)
    assert seconds < 6, "on an idle machine it takes 1 s"


@pytest.mark.slow
def test_a_rerun_of_a_finished_recording_takes_less_than_two_seconds(undisturbed, tmp_path):
    assert min(rerun_of_a_finished_recording(undisturbed, tmp_path) for _ in range(3)) < 2


def test_ctrl_c_is_one_line(command, prefect_server, undisturbed):
    # Tests started in the background inherit an ignored SIGINT and would hand it on to the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, end = Path(command[-1]) / undisturbed.folder.name, time.monotonic() + PATIENCE
    with start(command, prefect_server) as process:
        while not (folder / "run.json").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert (
        errors.strip().splitlines()[-1] == "invae: stopped; run the same command again to continue"
    )
    assert "Traceback" not in errors
