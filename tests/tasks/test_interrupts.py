"""A ctrl-C that got lost is found again."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from tasks import interrupts


@pytest.fixture
def usual() -> Iterator[None]:
    """Python's own handler, which tests started in the background do not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Named:
    """Python makes a RuntimeError of what is raised while it names the members of a class."""

    def __set_name__(self, owner: type, name: str) -> None:
        signal.raise_signal(signal.SIGINT)


class Dropped:
    """Python drops what is raised while it throws an object away."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def make_a_class() -> None:
    type("Owner", (), {"member": Named()})


def drop_and_fail() -> None:
    Dropped()
    raise ImportError("half a module")


@pytest.mark.parametrize("fail", [make_a_class, drop_and_fail])
def test_whatever_a_ctrl_c_became_it_comes_out_as_one(usual, fail: Callable[[], None], capfd):
    with pytest.raises(KeyboardInterrupt), interrupts.remembering_interrupts():
        fail()
    assert capfd.readouterr().err == ""


def test_whatever_a_request_to_stop_became_it_comes_out_as_one(usual):
    def become_something_else() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise TypeError("half a value") from error

    before = signal.signal(signal.SIGTERM, interrupts.on_interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts.restoring_interrupts():
            become_something_else()
        with (
            interrupts.remembering_interrupts(),
            pytest.raises(TypeError),
            interrupts.restoring_interrupts(),
        ):
            raise TypeError("half a value")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_errors_without_a_ctrl_c_stay_what_they_are(usual):
    with pytest.raises(ImportError, match="half a module"), interrupts.remembering_interrupts():
        raise ImportError("half a module")


def test_a_module_stopped_in_a_string_ends_with_its_own_exit_code(tmp_path):
    code = """
        import signal, sys
        from tasks.interrupts import remembering_interrupts
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with remembering_interrupts():
                exec("signal.raise_signal(signal.SIGINT)")
        except KeyboardInterrupt:
            sys.exit(130)
    """
    (tmp_path / "stopped.py").write_text(textwrap.dedent(code))
    path = os.pathsep.join([str(tmp_path), *sys.path])
    words = [sys.executable, "-m", "stopped"]
    ended = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert ended.returncode == 130


def test_a_dropped_ctrl_c_stops_at_the_next_place_that_asks(usual):
    with interrupts.remembering_interrupts():
        interrupts.raise_if_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts.remembering_interrupts():
        interrupts.raise_if_interrupted()


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.remembering_interrupts():
            signal.raise_signal(signal.SIGINT)
            interrupts.raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
