"""Environments of the peers: separate from ours, made once, in a folder ignored by git.

AtomAI and pyroVED import torchvision for a grid of images and for networks that are not measured here; an empty module of that name
replaces it.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / ".envs"


@dataclass(frozen=True)
class Environment:
    """The environment of one peer."""

    name: str
    package: str
    """Package with its version."""
    needs: tuple[str, ...] = ()
    """Packages installed before it."""
    whole: bool = True
    """Whether its own dependencies are installed; without them where some are unavailable and are replaced by a stub."""

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
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
SCIFIREADERS = Environment(
    "scifireaders", "SciFiReaders==0.12.7", ("pyNSID==0.0.7.2", "igor2==0.5.15")
)
ENVIRONMENTS = (ATOMAI, PYROVED, LIBERTEM, PY4DSTEM, HYPERSPY, SCIFIREADERS)

TORCHVISION = {
    "__init__.py": "",
    "utils.py": "def make_grid(*args, **options):\n    raise NotImplementedError\n",
    "models.py": "mobilenet_v2 = resnet50 = vgg16 = None\n",
}
"""A stub with the imported names, which are never called here."""


def make(environment: Environment) -> Path:
    """The interpreter of a peer's environment, which is created if necessary.

    Raises:
        subprocess.CalledProcessError: If pip or venv fails.
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
            _write_stub(folder)
        done.touch()
    return environment.python


def _write_stub(folder: Path) -> None:
    packages = next(folder.glob("lib/python*/site-packages"))
    for name, text in TORCHVISION.items():
        path = packages / "torchvision" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def main() -> None:
    """Create the environments named on the command line, or all of them."""
    names = sys.argv[1:] or [environment.name for environment in ENVIRONMENTS]
    for environment in ENVIRONMENTS:
        if environment.name in names:
            print(make(environment))


if __name__ == "__main__":
    main()
