"""Passwords do not reach what is written down: records, configurations, messages."""

import json
import shutil
import sys

import pytest

from flows.cli.main import execute
from invae.config import named
from invae.errors import ConfigError, InputError
from invae.stages import stages
from tasks.describe import describe
from tasks.ingest import ingest


def test_the_command_in_the_record_is_without_its_secrets(recording, config, tmp_path, monkeypatch):
    words = [
        "/usr/bin/invae",
        "run",
        "--set",
        "storage.secret_access_key=hunter2",
        "http://me:hunter2@h/x",
    ]
    monkeypatch.setattr(sys, "argv", words)
    ingest.fn([str(recording)], str(tmp_path / "scan"), config)
    text = (tmp_path / "scan" / "run.json").read_text()
    assert "hunter2" not in text
    told = json.loads(text)["stages"]["ingest"]["command"]
    assert told == "invae run --set storage.secret_access_key=*** http://***@h/x"


@pytest.mark.parametrize(
    "change",
    [
        "compute.scheduler=tls://me:hunter2@cluster:8786",
        "report.title='PREFECT_API_AUTH_STRING=me:hunter2'",
        "description='Authorization: Bearer hunter2hunter2'",
    ],
)
def test_a_configuration_with_a_password_in_it_is_refused(change, capsys, recording):
    with pytest.raises(ConfigError, match=r"password or key.*environment"):
        named.load("demo", changes=[change])
    assert execute(["run", str(recording), "--config", "demo", "--set", change]) == 1
    assert "hunter2" not in "".join(capsys.readouterr())


def test_an_address_with_a_password_in_it_is_refused(recording, tmp_path, capsys):
    out = "s3://AKIA:hunter2@bucket/results"
    assert execute(["run", str(recording), "--config", "demo", "--out", out]) == 1
    said = "".join(capsys.readouterr())
    assert "an address has a password or key in it" in said
    assert "hunter2" not in said
    with pytest.raises(InputError):
        stages.folder_of([recording], tmp_path / "s3:/AKIA:hunter2@bucket", None)


def test_no_file_of_a_run_holds_a_secret_of_the_environment(
    recording, config, tmp_path, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "operator:correct-horse")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    store = ingest.fn([str(recording)], str(tmp_path / "scan"), config).result()
    describe.fn(store, config)
    for path in (tmp_path / "scan").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"correct-horse" not in content
            assert b"wJalrXUtnFEMI" not in content
    shutil.rmtree(tmp_path / "scan")
