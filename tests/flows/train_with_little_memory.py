"""`invae` in one of several processes, of which the second has little memory."""

import os
import sys

from flows.cli.main import execute
from tests.invae.training.little_memory import Memory

LIMIT = "LITTLE_MEMORY"
"""In the environment: how many of a layer's inputs the second process can hold."""

if __name__ == "__main__":
    second = os.environ["RANK"] == "1"
    with Memory(float(os.environ[LIMIT]) if second else float("inf")):
        sys.exit(execute(sys.argv[1:]))
