"""A small configuration for runs that only fail."""

import pytest

from invae.config import ProcessConfig, named


@pytest.fixture(scope="session")
def config() -> ProcessConfig:
    return named.load("demo")
