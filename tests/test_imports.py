"""What imports load: modules, not seconds, so that a loaded machine fails no test (`benchmarks.imports` measures seconds)."""

import subprocess
import sys

import pytest

from invae import config

IMPORT = "import invae"
ESTIMATOR = "from invae import InvariantVAE"
HELP = """
import sys
from flows.cli.main import execute
assert execute(["--help"]) == 0
assert execute(["--version"]) == 0
assert execute(["run", "--help"]) == 0
"""

COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}
SCHEDULING = {"prefect", "dask", "distributed", "sqlalchemy"}
LABELLED_ARRAYS = {"xarray", "zarr", "pandas", "h5py"}
ANALYSIS = {"scipy", "sklearn", "skimage", "matplotlib"}
SETTINGS = {"invae.config.describe", "invae.config.ingest", "invae.config.synthetic"}


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (IMPORT, {"torch", "numpy", "pydantic", *SCHEDULING, *LABELLED_ARRAYS, *ANALYSIS}),
        (ESTIMATOR, {*COMPILER, *SETTINGS, *SCHEDULING, *LABELLED_ARRAYS, *ANALYSIS}),
        (HELP, {"torch", *COMPILER, *SCHEDULING, *LABELLED_ARRAYS, *ANALYSIS}),
    ],
    ids=["package", "estimator", "help"],
)
def test_an_import_loads_only_what_it_uses(code: str, unwanted: set[str]):
    assert loaded_by(code) & unwanted == set()


def loaded_by(code: str) -> set[str]:
    """Names of the modules that are loaded in a fresh process after some code."""
    last = "\nimport sys; print(); print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code + last], capture_output=True, text=True, check=True
    )
    return set(process.stdout.splitlines()[-1].split())


def test_the_configuration_has_every_name_that_it_lists():
    assert [name for name in config._MODULES if not hasattr(config, name)] == []
