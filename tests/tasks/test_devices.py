"""The machine has a name."""

from tasks.devices import machine


def test_the_machine_has_a_name_and_cores():
    assert machine().endswith("cores")
