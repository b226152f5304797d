"""Which package can do what, checked in the code of the packages: `python -m benchmarks.peers.features` writes docs/comparison.md.

The peers are installed without their dependencies into a folder that is thrown away, and their sources are read, not run. A cell
says yes if the named module, class, function or argument is defined there. It says no if no name of the package matches the words of the
row. Other cells are not checked, and the table says so.
"""

import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environments import ATOMAI, HYPERSPY, PY4DSTEM, PYROVED
from benchmarks.written import put
from invae import __version__

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "comparison.md"
PEERS = {"hyperspy": HYPERSPY, "py4DSTEM": PY4DSTEM, "atomai": ATOMAI, "pyroved": PYROVED}
PACKAGES = (*PEERS, "invae")
NO = "no"
OPEN = "not checked"


@dataclass(frozen=True)
class Feature:
    """A row of the table."""

    question: str
    words: str
    """Pattern of names; a package without the feature has none of them."""
    cells: Mapping[str, str]
    """Package → name that is the feature: `Class`, `Class.method`, `function`, `function(argument)`; a package that is missing has none.
    A name with a question mark is not checked; what stands behind it is shown."""


FEATURES = (
    Feature(
        "open files of electron microscopes",
        r"\bimport_file\b|\bload_dm|open_recording",
        {"hyperspy": "load", "py4DSTEM": "import_file", "invae": "open_recording"},
    ),
    Feature(
        "open files of scanning-probe microscopes (`.ibw`, `.sxm`, `.3ds`)",
        r"^ibw|nanonis|asylum",
        {"hyperspy": "?by RosettaSciIO", "invae": "ibw"},
    ),
    Feature(
        "recordings larger than memory",
        r"\blazy|memmap|mmap|dask|zarr",
        {"hyperspy": "LazySignal", "py4DSTEM": "DataCube.bin_Q_mmap", "invae": "open_store"},
    ),
    Feature(
        "PCA or NMF",
        r"\bnmf\b|\bpca\b|decomposition",
        {
            "hyperspy": "MVA.decomposition",
            "py4DSTEM": "Featurization.NMF",
            "atomai": "imlocal.nmf",
            "invae": "principal_components",
        },
    ),
    Feature(
        "fit curves to spectra",
        r"multifit|fit_curve|fit_spectr",
        {"hyperspy": "BaseModel.multifit"},
    ),
    Feature(
        "variational autoencoder",
        r"vae",
        {"atomai": "VAE", "pyroved": "iVAE", "invae": "InvariantVAE"},
    ),
    Feature(
        "… that infers rotation and shift",
        r"rvae|ivae|rotation_prior",
        {
            "atomai": "rVAE",
            "pyroved": "iVAE.__init__(invariances)",
            "invae": "InvariantVAE.__init__(rotation)",
        },
    ),
    Feature(
        "… that infers magnification",
        r"scale_coord|scale_prior|sc_prior",
        {"pyroved": "scale_coordinates", "invae": "InvariantVAE.__init__(scaling)"},
    ),
    Feature(
        "… that infers shear",
        r"vae.*shear|shear_prior|shear_coord",
        {"invae": "InvariantVAE.__init__(shearing)"},
    ),
    Feature(
        "the whole posterior of the angle, instead of one estimate",
        r"angle_resultant|angle_posterior|log_density_of_angles|AngleDistribution|GridPosterior",
        {"invae": "?`angle_resultant`, `angles` in every result"},
    ),
    Feature(
        "classes without labels",
        r"jvae|jrvae|jivae|cluster|kmeans|gmm",
        {
            "hyperspy": "MVA.cluster_analysis",
            "py4DSTEM": "Featurization.GMM",
            "atomai": "jrVAE",
            "pyroved": "jiVAE",
            "invae": "Clustering",
        },
    ),
    Feature(
        "classes with labels for some patches",
        r"ssivae|semi_?sup|ss_reg",
        {"pyroved": "ssiVAE", "invae": "InvariantVAE.fit(y)"},
    ),
    Feature(
        "spectra predicted from images",
        r"imspec|im2spec|\bVED\b|encoderdecoder",
        {"atomai": "ImSpec", "pyroved": "VED", "invae": "EncoderDecoder"},
    ),
    Feature(
        "several models together, with their spread",
        r"ensemble",
        {"atomai": "EnsembleTrainer", "pyroved": "?weights are averaged", "invae": "Ensemble"},
    ),
    Feature(
        "networks that mark atoms or structures in images",
        r"segmentor|unet|semantic_seg",
        {
            "py4DSTEM": "?disks, by a downloaded network",
            "atomai": "Segmentor",
            "invae": "UNet",
        },
    ),
    Feature(
        "propose the next place to measure",
        r"dklgp|acquisition_f|suggest\b",
        {"atomai": "dklGPR", "invae": "Search.suggest"},
    ),
    Feature(
        "virtual images and centre of mass of 4D-STEM",
        r"virtual_image|center_of_mass|centre_of_mass|virtual_detector",
        {"py4DSTEM": "DataCubeVirtualImager.get_virtual_image", "invae": "Detectors"},
    ),
    Feature(
        "Bragg discs and strain",
        r"bragg|strain_?map|get_strain",
        {"py4DSTEM": "StrainMap"},
    ),
    Feature(
        "orientation of known crystals",
        r"match_orientation|orientation_plan|acom",
        {"py4DSTEM": "match_orientations"},
    ),
    Feature(
        "ptychography",
        r"ptycho",
        {"py4DSTEM": "SingleslicePtychography"},
    ),
    Feature(
        "drift of an image series",
        r"estimate_shift|align2d|\bdrift|registration",
        {"hyperspy": "Signal2D.align2D", "invae": "RegistrationConfig"},
    ),
    Feature(
        "ferroelectric domain walls",
        r"domain_?wall|walls?config",
        {"invae": "WallsConfig"},
    ),
    Feature(
        "one report page per recording",
        r"html_?report|report_?page|write_page|ReportConfig",
        {"invae": "ReportConfig"},
    ),
    Feature(
        "a verdict on the result, with what to do",
        r"\bverdict",
        {"invae": "Verdict"},
    ),
    Feature(
        "watch the folder of an instrument",
        r"watch_?(folder|dir)|WatchConfig",
        {"invae": "WatchConfig"},
    ),
)


def names_of(package: Path) -> frozenset[str]:
    """Names of modules, classes, methods and functions that a package defines, and of their arguments as `function(argument)`."""
    found: set[str] = set()
    for file in package.rglob("*.py"):
        if not {"tests", "test"} & set(file.relative_to(package).parts):
            found.add(file.stem)
            found |= set(_names_in(ast.parse(file.read_text("utf-8", errors="replace")).body))
    return frozenset(found)


def _names_in(body: list[ast.stmt], above: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield f"{above}{node.name}"
            yield from _names_in(node.body, f"{above}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{above}{node.name}"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from (f"{above}{node.name}({argument.arg})" for argument in arguments)


def cell(feature: Feature, package: str, names: frozenset[str]) -> str:
    """The text of a cell.

    Raises:
        ValueError: The package does not define the name, or has one that matches although it should not have the feature.
    """
    name = feature.cells.get(package)
    if name is None:
        defined = {each.partition("(")[0] for each in names}
        if hits := sorted(n for n in defined if re.search(feature.words, n, re.IGNORECASE)):
            raise ValueError(f"{package} may have {feature.question!r}: {', '.join(hits[:8])}")
        return NO
    if name.startswith("?"):
        return f"{name[1:]} ({OPEN})"
    if name not in names:
        raise ValueError(f"{package} defines no {name} ({feature.question})")
    return f"yes: `{_shown(name)}`"


def _shown(name: str) -> str:
    return re.sub(r"\.__init__\((\w+)\)", r"(\1=…)", name)


def table(names: Mapping[str, frozenset[str]]) -> str:
    """The table as Markdown.

    Raises:
        ValueError: A cell is not what the code says; the message lists all of them.
    """
    heads = [f"{PEERS[name].package.replace('==', ' ')}" for name in PEERS]
    lines = [
        f"|  | {' | '.join([*heads, f'invae {__version__}'])} |",
        f"| --- |{' --- |' * len(PACKAGES)}",
    ]
    wrong: list[str] = []
    for feature in FEATURES:
        cells: list[str] = []
        for package in PACKAGES:
            try:
                cells.append(cell(feature, package, names[package]))
            except ValueError as error:
                wrong.append(str(error))
        lines.append(f"| {' | '.join([feature.question, *cells])} |")
    if wrong:
        raise ValueError("\n".join(wrong))
    return "\n".join(lines) + "\n"


def installed(folder: Path) -> dict[str, frozenset[str]]:
    """Names of the peers, which are installed into a folder without their dependencies, and of invae."""
    packages = [environment.package for environment in PEERS.values()]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), *packages], check=True)
    return {
        **{name: names_of(folder / name) for name in PEERS},
        "invae": names_of(ROOT / "invae"),
    }


def main() -> None:
    """Check all cells and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        put(PAGE, "features", table(installed(Path(folder))))


if __name__ == "__main__":
    main()
