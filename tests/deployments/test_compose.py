"""The compose file fits the specification, names only what exists, and gives no process more than it needs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deployments"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
EXAMPLE = (FOLDER / "facility.env.example").read_text()
EVERY = pytest.mark.parametrize("name", SERVICES)

ONLY_PUBLISHED = "proxy"
SECRETS = {"PREFECT_SERVER_API_AUTH_STRING", "INVAE_DATABASE_PASSWORD"}


def variables(text: str) -> dict[str, str]:
    """Names that a text wants from the environment file, each with what follows it: `:?` or `:-`."""
    return dict(re.findall(r"\$\{(\w+)(:\?|:-)?", text))


def example() -> dict[str, str]:
    """The values of the example's environment file."""
    lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_file_fits_the_compose_specification():
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)


def test_a_mistake_does_not_fit_it():
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    wrong = {"services": {"server": {"image": "x", "comand": ["prefect"]}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.Draft202012Validator(schema).validate(wrong)


@EVERY
def test_what_a_service_names_is_there(name):
    service = SERVICES[name]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for other in service.get("depends_on", ()):
        shared = set(service["networks"]) & set(SERVICES[other]["networks"])
        assert shared or other in {"setup", "migrate"}, f"{name} cannot reach {other}"
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith("./"):
            assert (FOLDER / source).is_file()
        else:
            assert source.startswith("${") or source in COMPOSE["volumes"]


@EVERY
def test_a_condition_can_come_true(name):
    wanted = SERVICES[name].get("depends_on", {})
    for other, how in wanted.items() if isinstance(wanted, dict) else ():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert SERVICES[other]["restart"] == "no", "what is waited for to end is not restarted"


@EVERY
def test_no_service_is_root_or_has_rights_that_it_does_not_need(name):
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service.get("privileged")
    assert "network_mode" not in service
    assert ":latest" not in service["image"]
    assert ":" in service["image"]


def test_only_the_proxy_is_reached_from_outside():
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == [ONLY_PUBLISHED]
    outside = {name for name, net in COMPOSE["networks"].items() if not net.get("internal")}
    assert [name for name in SERVICES if outside & set(SERVICES[name]["networks"])] == ["proxy"]


def test_the_recordings_can_only_be_read():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            if "INVAE_RECORDINGS" in volume:
                assert volume.endswith(":ro"), name


def test_each_secret_goes_where_it_is_needed_and_no_further():
    holders = {
        secret: {name for name, service in SERVICES.items() if secret in json.dumps(service)}
        for secret in SECRETS
    }
    assert holders["INVAE_DATABASE_PASSWORD"] == {"database", "migrate", "server"}
    assert holders["PREFECT_SERVER_API_AUTH_STRING"] == {"server", "setup", "worker", "worker-gpu"}


def test_the_environment_file_has_every_variable_and_no_secret():
    wanted = variables((FOLDER / "compose.yaml").read_text())
    given = example()
    assert set(wanted) == set(given)
    assert {name for name in SECRETS if given[name]} == set()
    assert all(wanted[name] == ":?" for name in SECRETS), "without a secret nothing starts"
    ignored = (FOLDER.parent / ".gitignore").read_text().splitlines()
    assert "deployments/facility.env" in ignored


def test_the_image_is_built_from_the_lock_without_the_environment_file():
    lines = (FOLDER / "Containerfile").read_text()
    assert "install --requirement requirements.lock" in lines
    assert "install --no-deps" in lines
    assert re.findall(r"^USER (.+)$", lines, re.MULTILINE)[-1] != "root"
    ignored = (FOLDER / "Containerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "**"
    assert ignored.index("deployments/facility.env") > ignored.index("!deployments")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", lines, re.MULTILINE)
    assert all((FOLDER.parent / path).exists() for paths in copied for path in paths.split())


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy here to read its file")
def test_the_proxy_reads_its_file():
    words = ["caddy", "adapt", "--config", str(FOLDER / "Caddyfile"), "--adapter", "caddyfile"]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    (server,) = json.loads(answer.stdout)["apps"]["http"]["servers"].values()
    assert server["listen"] == [":8443"]
    assert "server:4200" in answer.stdout
