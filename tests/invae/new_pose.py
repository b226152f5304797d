"""A script: adds the pose of `docs/adding-a-model.md` as its two blocks say, before anything has read the table, and looks for it everywhere.

Argument: a folder to work in.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import TypeAdapter

from invae import latent_table
from invae.models.geometry import pose
from tests.docs.blocks import DOCS, python_blocks

POSE, ROW = python_blocks(DOCS / "adding-a-model.md")[-2:]
exec(compile(POSE, "pose.py", "exec"), pose.__dict__)
pose.POSES["aspect"] = vars(pose)["Aspect"]()  # type: ignore[index]
row = eval(compile(ROW, "latent_table.py", "eval"), latent_table.__dict__)
latent_table.LATENTS[row.name] = row


def in_the_configuration() -> None:
    from invae.config import ModelConfig
    from invae.config.family import families

    config = ModelConfig.model_validate({"poses": ["rotation", "aspect"]})
    assert config.poses == ("rotation", "aspect")
    assert config.prior_sd("aspect") == row.placed.prior_sd
    assert ModelConfig.model_validate({"pose_priors": {"aspect": 0.5}}).prior_sd("aspect") == 0.5
    assert families()["aspectVAE"].poses == ("aspect",)
    schema = str(TypeAdapter(ModelConfig).json_schema()["properties"]["poses"])
    assert "'aspect'" in schema


def in_the_estimator(folder: Path) -> None:
    """Encoded by every way of inference, decoded, traversed, saved, and told apart from patches of other proportions."""
    from invae import InvariantVAE

    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(-1, 1, 16)] * 2, indexing="ij")
    truth = rng.normal(0, 0.3, 200)[:, None, None]
    patches = np.exp(-8 * ((y * np.exp(truth)) ** 2 + (x * np.exp(-truth)) ** 2))
    training = {"epochs": 15, "batch_size": 25}
    for inference in ("amortised", "refined"):
        vae = InvariantVAE(
            "VAE",
            poses=["aspect"],
            pose_inference=inference,
            latent_dim=1,
            training=training,
            device="cpu",
        ).fit(patches)
        latents = vae.encode(patches)
        assert latents["aspect"].attrs["long_name"] == row.label
        assert (latents["aspect_sd"] > 0).all()
        assert abs(np.corrcoef(latents["aspect"], truth.ravel())[0, 1]) > 0.8, inference
    poses: tuple[dict[str, Any], ...] = ({}, {"aspect": np.array([0.5])})
    upright, long = (vae.decode(np.zeros((1, 1)), **pose) for pose in poses)
    assert float(np.abs(long - upright).max()) > 1e-3
    assert vae.traversal(3).shape == (1, 3, 1, 16, 16)
    vae.save(folder)
    np.testing.assert_array_equal(
        InvariantVAE.load(folder).encode(patches)["aspect"], latents["aspect"]
    )


def in_the_result(folder: Path) -> None:
    """A scan through every stage: embedding, result, report and both exports."""
    from invae import results
    from invae.report.latent_plane import colourings
    from invae.results.export import export
    from tests.invae.conftest import scan_through_all_stages

    run = scan_through_all_stages(folder, {"family": "rVAE", "poses": ["rotation", "aspect"]})
    result = run.store("analyse")
    results.validate(result)
    assert "aspect" in results.SCHEMA[""]
    groups = {name: group.load() for name, group in results.open_result(result).items()}
    assert groups[""]["aspect"].dims == ("site",)
    assert groups["scan"]["aspect_map"].dims == ("scan_y", "scan_x")
    assert np.isfinite(groups["traversal"]["manifold"]).any()
    assert any("aspect" in colouring.title for colouring in colourings(groups))
    assert "kl_aspect_training" in groups["training"]
    page = run.report(folder / "report") / "index.html"
    assert page.is_file()
    with export(result, to="csv", target=folder / "sites.csv").open(newline="") as stream:
        assert {"aspect", "aspect_sd"} <= set(next(csv.reader(stream)))
    with h5py.File(export(result, to="hyperspy", target=folder / "result.hspy")) as signals:
        assert "scan aspect_map" in signals["Experiments"]  # type: ignore[operator]


if __name__ == "__main__":
    here = Path(sys.argv[1])
    in_the_configuration()
    in_the_estimator(here / "model")
    in_the_result(here)
    print("the pose is there")
