"""A small configuration for runs that only fail."""

import pytest

from flows import configurations
from invae.config import ProcessConfig


@pytest.fixture(scope="session")
def config() -> ProcessConfig:
    return configurations.load("demo")
