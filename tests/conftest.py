"""What all tests share."""

import logging
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.service.server import prepare_environment

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Keep the user's Prefect database and settings out of the tests, and run numerical libraries in one thread.

    Threads of OpenMP spin while they wait for each other, and the tests use all cores already, in several processes.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    home = tempfile.TemporaryDirectory(prefix="invae-prefect-")
    config.add_cleanup(home.cleanup)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ["PREFECT_HOME"] = home.name
    prepare_environment(verbose=False)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The address of one Prefect server for all tests that run flows; it takes 10 to 20 s to start."""
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        address = get_current_settings().api.url
        assert address is not None
        yield address


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no recordings at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """A bucket of an S3-compatible server on this machine; the environment says where it is and with which key."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{port}/invae", method="PUT")
        ).close()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        yield "invae"
    server.stop()
