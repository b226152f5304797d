"""The login of this installation: random, private, and used only where it belongs."""

import os
import stat
import threading

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_HOME,
    PREFECT_SERVER_API_AUTH_STRING,
    get_current_settings,
    temporary_settings,
)

from flows.service.login import FILE, VARIABLE, hint, logged_in, login_file, login_for, own_login
from invae.errors import ConfigError
from invae.redaction import redacted

HERE = "http://127.0.0.1:4200/api"


@pytest.fixture
def home(tmp_path):
    """A new installation."""
    with temporary_settings({PREFECT_HOME: tmp_path}):
        yield tmp_path


def test_the_login_is_created_once_and_only_its_user_can_read_it(home):
    login = own_login()
    assert login == own_login()
    assert login_file() == home / FILE
    assert stat.S_IMODE(login_file().stat().st_mode) == 0o600
    assert len(login.partition(":")[2]) >= 32
    assert [path.name for path in home.iterdir()] == [FILE], "no second file is left"


def test_two_installations_have_different_logins(tmp_path):
    logins = set()
    for name in "ab":
        with temporary_settings({PREFECT_HOME: tmp_path / name}):
            logins.add(own_login())
    assert len(logins) == 2


def test_commands_that_start_together_agree_on_the_login(home):
    logins: list[str] = []

    def create() -> None:
        with temporary_settings({PREFECT_HOME: home}):
            logins.append(own_login())

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(logins) == 8
    assert len(set(logins)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(home, mode):
    own_login()
    login_file().chmod(mode)
    with pytest.raises(ConfigError, match=r"is not private; run `chmod 600 "):
        own_login()
    with pytest.raises(ConfigError, match="is not private"):
        login_for(HERE)


def test_a_file_without_a_login_is_refused(home):
    login_file().write_text("\n")
    login_file().chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold USER:PASSWORD; delete it"):
        own_login()


@pytest.mark.parametrize(
    ("address", "known"),
    [
        (HERE, True),
        ("http://localhost:4300/api", True),
        ("http://[::1]:4200/api", True),
        ("https://prefect.example.org/api", False),
        ("http://10.0.0.5:4200/api", False),
        ("http://me:hunter2@127.0.0.1:4200/api", False),
    ],
)
def test_the_login_is_sent_to_this_machine_only(home, address, known):
    login = own_login()
    assert login_for(address) == (login if known else "")


def test_no_file_is_made_for_the_server_of_somebody_else(home):
    assert login_for(HERE) == ""
    assert list(home.iterdir()) == []


def test_the_login_of_the_user_is_respected(home):
    own_login()
    with temporary_settings({PREFECT_API_AUTH_STRING: "me:client"}):
        assert login_for(HERE) == own_login() == "me:client"
        with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "me:server"}):
            assert own_login() == "me:server"
            assert login_for(HERE) == "me:client"
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "me:server"}):
        assert login_for(HERE) == own_login() == "me:server"
        assert login_for("https://prefect.example.org/api") == "", "it is not for other servers"


def test_inside_the_block_clients_and_children_have_the_login_and_text_does_not(home, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    login = own_login()
    with logged_in(HERE, login):
        settings = get_current_settings().api
        assert settings.url == HERE
        assert settings.auth_string is not None
        assert settings.auth_string.get_secret_value() == os.environ[VARIABLE] == login
        assert login.partition(":")[2] not in redacted(f"refused {login.partition(':')[2]} at x")
    assert VARIABLE not in os.environ
    assert login.partition(":")[2] not in hint()
    assert str(login_file()) in hint()
