"""PostgreSQL from Debian's packages: a temporary database for one server, on a free port of the loopback."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from invae.errors import MachineError

DEBIAN = Path("/usr/lib/postgresql")
NAME = "prefect"
"""Name of the database and of its user."""
PATIENCE = 240.0
"""Longest wait for the first answer of the database on a busy machine [s]."""


def program(name: str) -> str:
    """The path of a program of PostgreSQL.

    Raises:
        MachineError: If it is not installed.
    """
    debian = sorted(DEBIAN.glob(f"*/bin/{name}"))
    path = str(debian[-1]) if debian else shutil.which(name)
    if path is None:
        raise MachineError(
            f"PostgreSQL is not installed ({name}); install Debian's package postgresql, or use SQLite"
        )
    return path


@contextmanager
def postgresql(password: str = "a secret: with @ and /") -> Iterator[Mapping[str, str]]:
    """Settings of a Prefect server that stores its database there, by their names in the environment.

    Raises:
        MachineError: If PostgreSQL is not installed, or does not answer.
    """
    initdb, postgres, psql = map(program, ("initdb", "postgres", "psql"))
    folder, user = Path(tempfile.mkdtemp(prefix="invae-postgresql-")), _not_root()
    environment = {**os.environ, "PGPASSWORD": password, "LC_ALL": "C"}
    try:
        (folder / "password").write_text(password)
        if user:
            shutil.chown(folder, user)
        options = ["-D", f"{folder}/data", "-U", NAME, "--auth=scram-sha-256", "--encoding=UTF8"]
        command = [initdb, *options, "--pwfile", f"{folder}/password"]
        subprocess.run(
            command, user=user, cwd=folder, env=environment, check=True, capture_output=True
        )
        port = _free_port()
        with _running(postgres, port, folder, user=user, environment=environment):
            _make_database(psql, port, environment)
            yield _settings(port, password)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(
    postgres: str, port: str, folder: Path, *, user: str | None, environment: Mapping[str, str]
) -> Iterator[None]:
    options = ["-D", f"{folder}/data", "-p", port, "-k", str(folder), "-h", "127.0.0.1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [postgres, *options],
            user=user,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: its content is not needed any more
        process.wait()


def _make_database(psql: str, port: str, environment: Mapping[str, str]) -> None:
    command = [psql, "-h", "127.0.0.1", "-p", port, "-U", NAME, "postgres"]
    end = time.monotonic() + PATIENCE
    while True:
        create = [*command, "-c", f"create database {NAME}"]
        answer = subprocess.run(create, env=environment, capture_output=True, text=True)
        if not answer.returncode:
            return
        if time.monotonic() > end:
            raise MachineError(
                f"PostgreSQL does not answer: {answer.stderr.strip()[-200:]}; check its log"
            )
        time.sleep(0.2)


def _settings(port: str, password: str) -> Mapping[str, str]:
    values = {"DRIVER": "postgresql+asyncpg", "HOST": "127.0.0.1", "PORT": port}
    values |= {"NAME": NAME, "USER": NAME, "PASSWORD": password}
    return {f"PREFECT_SERVER_DATABASE_{name}": value for name, value in values.items()}


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def _not_root() -> str | None:
    """Another user of this machine, since PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
