"""The login of the Prefect server on this machine: random, one for each installation, in a file that only its user can read."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flows.service.doctor.access import is_loopback
from invae.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

FILE = "invae-login"
"""In PREFECT_HOME, beside the server's database."""
USER = "invae"
VARIABLE = "PREFECT_API_AUTH_STRING"


def login_file() -> Path:
    """The file with the login of this installation."""
    from prefect.settings import get_current_settings

    return get_current_settings().home / FILE


def own_login() -> str:
    """The login that a server of this installation requires: the user's setting, or that of the file, which is created.

    Raises:
        ConfigError: if others can read the file, or it cannot be read or created.
    """
    return _set(servers_first=True) or _of_file(create=True)


def login_for(address: str) -> str:
    """The login for a server that runs already: the user's setting, or on this machine that of the file; empty if neither.

    Raises:
        ConfigError: if others can read the file.
    """
    from prefect.settings import get_current_settings

    place, settings = urlsplit(address), get_current_settings()
    if place.username or not is_loopback(place.hostname or ""):
        return _text(settings.api.auth_string)
    return _set(servers_first=False) or _of_file(create=False)


@contextmanager
def logged_in(address: str, login: str) -> Iterator[None]:
    """Inside the block, clients use this server with this login; processes that are started there inherit the login."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    before = os.environ.get(VARIABLE)
    if login:
        os.environ[VARIABLE] = login  # as the value of a variable it is also masked in all text
    try:
        with temporary_settings({PREFECT_API_URL: address, PREFECT_API_AUTH_STRING: login or None}):
            yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def hint() -> str:
    """How to log in to the UI of the own server, without the password."""
    if _set(servers_first=True):
        return "it asks for the login that you have set"
    return f"to log in, paste the line that `cat {login_file()}` shows"


def _set(*, servers_first: bool) -> str:
    """The login in the environment or in Prefect's profile: that of servers, or that of clients; the other one if unset."""
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    client, server = _text(settings.api.auth_string), _text(settings.server.api.auth_string)
    return server or client if servers_first else client or server


def _text(secret: "SecretStr | None") -> str:
    return secret.get_secret_value() if secret else ""


def _of_file(*, create: bool) -> str:
    """The login of the file; empty if there is none and it is not to be created."""
    file = login_file()
    try:
        if create and not file.exists():
            _create(file)
        return _read(file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if not create:
            return ""  # that of another user: the server's refusal says what is missing
        raise ConfigError(f"{file}: the login cannot be kept there ({error.strerror})") from error


def _create(file: Path) -> None:
    """Create the file whole; if another process is faster, its file stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    hidden = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{USER}:{secrets.token_urlsafe(32)}\n")
        with suppress(FileExistsError):
            os.link(hidden, file)
    finally:
        hidden.unlink()


def _read(file: Path) -> str:
    with file.open() as stream:
        state = os.fstat(stream.fileno())
        if stat.S_IMODE(state.st_mode) & 0o077 or state.st_uid != os.getuid():
            raise ConfigError(f"{file} is not private; run `chmod 600 {file}`, or delete it")
        login = stream.readline().strip()
    if not all(login.partition(":")):
        raise ConfigError(f"{file} does not hold USER:PASSWORD; delete it, a new one is made")
    return login
