"""Nothing that is written down holds a password, and nothing else is taken for one."""

import pytest

from invae.config import ProcessConfig
from invae.redaction import holds_secret, one_line, redacted, redacted_json

SECRETS = [
    ("http://operator:hunter2@facility:4200/api", "http://***@facility:4200/api"),
    ("s3://AKIA12:wJal/rXU+tn@bucket/scan.zarr", "s3://***@bucket/scan.zarr"),
    ("postgresql+asyncpg://invae:hunter2@db/prefect", "postgresql+asyncpg://***@db/prefect"),
    ("https://store/x?X-Amz-Signature=8f3a&part=1", "https://store/x?X-Amz-Signature=***&part=1"),
    ("--set storage.secret_access_key=wJalr", "--set storage.secret_access_key=***"),
    ("PREFECT_API_AUTH_STRING=a:b", "PREFECT_API_AUTH_STRING=***"),
    ("Authorization: Basic YWRtaW46cGFzcw==", "Authorization: Basic ***"),
    ('{"password": "hunter2", "rows": 1}', '{"password": "***", "rows": 1}'),
]
HARMLESS = [
    "--set 'epochs' is not key=value, such as training.epochs=20",
    "http://127.0.0.1:4200/api",
    "http://facility:9000/bucket/mail@home.npy",
    "/data/me@home/scan (1)@2x.ibw",
    "sources, keys and sha256 of scan_0001",
]


@pytest.mark.parametrize(("text", "shown"), SECRETS)
def test_a_secret_is_not_shown(text, shown):
    assert redacted(text) == shown
    assert holds_secret(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text
    assert not holds_secret(text)


@pytest.mark.parametrize(("text", "shown"), SECRETS)
def test_what_was_hidden_once_stays_as_it_is(text, shown):
    assert redacted(shown) == shown
    assert not holds_secret(shown)


def test_secrets_of_the_environment_are_found_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "operator:correct horse")
    assert redacted("401 for operator:correct horse") == "401 for ***"
    assert redacted("the password correct horse is wrong") == "the password *** is wrong"


def test_values_under_the_name_of_a_secret_are_hidden_at_any_depth():
    values = {"a": [{"aws_secret_access_key": "x y"}], "url": "http://u:p@h", "n": 3}
    assert redacted_json(values) == {
        "a": [{"aws_secret_access_key": "***"}],
        "url": "http://***@h",
        "n": 3,
    }


def test_no_setting_is_taken_for_a_secret():
    values = ProcessConfig().model_dump(mode="json")
    assert redacted_json(values) == values


def test_the_folder_that_a_shell_is_in_is_no_secret(monkeypatch):
    monkeypatch.setenv("PWD", "/data/outbox")
    monkeypatch.setenv("OLDPWD", "/data/archive")
    told = "/data/outbox/scan.ibw was at /data/archive"
    assert redacted(told) == told


def test_text_in_one_line_holds_no_secret_and_no_control_character():
    text = "lost http://operator:hunter2@facility:4200/api\n  at\tonce\x1b[2J"
    assert one_line(text) == "lost http://***@facility:4200/api at once\ufffd[2J"
