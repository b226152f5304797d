"""Environments of the peers: outside our own, made once, in a folder that git ignores.

AtomAI and pyroVED want torchvision for a grid of pictures and for networks that are not measured here; a module of that name without
content stands in for it.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / ".envs"


@dataclass(frozen=True)
class Environment:
    """What one peer needs."""

    name: str
    package: str
    """Pinned."""
    needs: tuple[str, ...] = ()
    """What is installed before it."""
    whole: bool = True
    """With its own dependencies; without them where some are not to be had, and a stand-in takes their place."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return FOLDER / self.name / "bin" / "python"


ATOMAI = Environment(
    "atomai",
    "atomai==0.8.1",
    (
        "torch==2.13.0", "numpy<2", "scipy", "matplotlib", "scikit-learn", "scikit-image",
        "opencv-python-headless<4.11", "networkx", "mendeleev<=0.6.1", "progressbar2", "gpytorch",
        "pandas", "six",
    ),
    whole=False,
)  # fmt: skip
PYROVED = Environment(
    "pyroved",
    "pyroved==0.3.0",
    ("torch==2.13.0", "numpy", "matplotlib", "pyro-ppl"),
    whole=False,
)
LIBERTEM = Environment("libertem", "libertem==0.16.0")
PY4DSTEM = Environment("py4dstem", "py4DSTEM==0.14.18", ("numpy<2",))
HYPERSPY = Environment("hyperspy", "hyperspy==2.5.0")
ENVIRONMENTS = (ATOMAI, PYROVED, LIBERTEM, PY4DSTEM, HYPERSPY)

TORCHVISION = {
    "__init__.py": "",
    "utils.py": "def make_grid(*args, **options):\n    raise NotImplementedError\n",
    "models.py": "mobilenet_v2 = resnet50 = vgg16 = None\n",
}
"""A stand-in: names that are imported and never called here."""


def make(environment: Environment) -> Path:
    """The interpreter of a peer's environment; made if it is not there.

    Raises:
        subprocess.CalledProcessError: pip or venv failed.
    """
    done = FOLDER / environment.name / ".installed"
    if not done.exists():
        folder = FOLDER / environment.name
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(environment.python), "-m", "pip", "install", "--quiet"]
        if environment.whole:
            subprocess.run([*pip, *environment.needs, environment.package], check=True)
        else:
            subprocess.run([*pip, *environment.needs], check=True)
            subprocess.run([*pip, "--no-deps", environment.package], check=True)
            _stand_in(folder)
        done.touch()
    return environment.python


def _stand_in(folder: Path) -> None:
    packages = next(folder.glob("lib/python*/site-packages"))
    for name, text in TORCHVISION.items():
        path = packages / "torchvision" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def main() -> None:
    """Make those named on the command line, or all of them."""
    names = sys.argv[1:] or [environment.name for environment in ENVIRONMENTS]
    for environment in ENVIRONMENTS:
        if environment.name in names:
            print(make(environment))


if __name__ == "__main__":
    main()
