"""The units are understood by systemd, hold no secret, and give their processes no more than they need."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deployments" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
EVERY = pytest.mark.parametrize("name", UNITS)

HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "yes",
    "SystemCallFilter": "@system-service",
}


def service(name: str) -> dict[str, list[str]]:
    """The settings of a unit's process; each may stand several times."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (FOLDER / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_there_is_a_unit_for_each_process_of_a_facility():
    assert UNITS == ["invae-serve.service", "invae-server.service", "invae-worker@.service"]


@EVERY
def test_a_process_is_not_root_and_writes_only_where_it_must(name):
    settings = service(name)
    assert {key: settings[key] for key in HARDENED} == {k: [v] for k, v in HARDENED.items()}
    assert "yes" in settings.get("DynamicUser", []) or settings["User"] == ["invae"]
    assert settings.get("ReadWritePaths", ["/srv/results"]) == ["/srv/results"]
    assert settings["StateDirectory"], "Prefect's home"


@EVERY
def test_no_unit_holds_a_secret(name):
    text = " ".join(service(name).get("Environment", []))
    assert not any(word in text for word in ("AUTH_STRING", "PASSWORD", "CONNECTION_URL"))


def test_the_server_listens_on_the_loopback():
    (command,) = service("invae-server.service")["ExecStart"]
    assert "--host 127.0.0.1" in command


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@EVERY
def test_systemd_understands_the_unit(name, tmp_path):
    text = (FOLDER / name).read_text()
    for program in ("prefect", "invae", "python"):
        text = text.replace(f"/opt/invae/.venv/bin/{program}", "/bin/true")
    (tmp_path / name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    ours = [line for line in answer.stderr.splitlines() if name.split(".")[0].rstrip("@") in line]
    assert (answer.returncode, ours) == (0, [])
