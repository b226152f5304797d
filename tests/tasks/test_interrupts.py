"""A ctrl-C that got lost is found again."""

import signal

import pytest

from tasks import interrupts


def test_a_dropped_ctrl_c_stops_at_the_next_place_that_asks():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupts.heard():
            interrupts.obey()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                interrupts.obey()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with interrupts.heard():
            interrupts.obey()
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.heard():
            signal.raise_signal(signal.SIGINT)
            interrupts.obey()
    finally:
        signal.signal(signal.SIGINT, before)
