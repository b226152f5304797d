"""The operator's page names what is there: files, services, units, variables of the environment."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "facility.md").read_text()
COMPOSE = (ROOT / "deployments" / "compose.yaml").read_text()


def test_files_that_are_named_are_there():
    for name in re.findall(r"deployments/[\w.*/-]+", TEXT):
        path = name.rstrip(".")
        if path.endswith("facility.env"):
            path += ".example"
        assert list(ROOT.glob(path)), path


def test_services_and_units_that_are_named_are_there():
    services = yaml.safe_load(COMPOSE)["services"]
    for words in re.findall(r"compose\.yaml (?:exec -T|stop) ([a-z -]+?)(?= pg_|\n)", TEXT):
        assert set(words.split()) <= set(services)
    units = {path.stem for path in (ROOT / "deployments" / "systemd").iterdir()}
    assert set(re.findall(r"invae-(?:server|serve|worker)\b@?", TEXT)) <= units


def test_variables_that_are_named_are_used():
    files = [p for p in (ROOT / "deployments").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    known = "".join(path.read_text() for path in files)
    for name in set(re.findall(r"\b(?:INVAE|PREFECT)_[A-Z_]+\b", TEXT)):
        assert name in known or name in {
            "PREFECT_SERVER_EVENTS_RETENTION_PERIOD",
            "PREFECT_SERVER_DATABASE_TIMEOUT",
        }, name
