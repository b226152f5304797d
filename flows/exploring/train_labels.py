"""A semi-supervised VAE from the labels of a recording, as a program: it writes its progress as lines of JSON.

`python -m flows.exploring.train_labels FOLDER`
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from flows.exploring.session import LABELS, output
from invae.errors import InputError, InvaeError
from invae.storage import store
from invae.storage.json_text import parsed_object

LABELLED = "labelled"
"""Folder of the model and its classes, beside the result."""
CLASSES = "classes.json"
FEWEST_LABELS = 2


def family_with_labels(family: str) -> str:
    """The semi-supervised family with the poses of another one: `jrVAE` gives `ssrVAE`."""
    return "ss" + re.sub(r"^(ssreg|ss|skip-|j|c)+(?=[a-zA-Z]*VAE)", "", family)


def train(folder: Path) -> Path:
    """Train on the labelled sites and on all others; returns the folder of model and classes.

    Raises:
        InputError: there are fewer than two labels.
    """
    from invae import InvariantVAE

    labels = parsed_object((folder / LABELS).read_text(encoding="utf-8")) if (folder / LABELS).is_file() else {}  # fmt: skip
    if len(labels) < FEWEST_LABELS:
        raise InputError(f"{len(labels)} labels; a classifier needs two or more")
    patches = output(folder, "describe")
    known = np.full(store.open_store(patches).sizes["site"], -1)
    for number, sites in enumerate(labels.values()):
        known[sites] = number
    card = parsed_object((output(folder, "train") / "model.json").read_text(encoding="utf-8"))
    settings = card["config"]
    vae = InvariantVAE(
        family_with_labels(str(settings["family"])),
        latent_dim=int(settings["latent_dim"]),
        n_classes=len(labels),
    )
    vae.fit(patches, y=known, progress=_say)
    target = folder / LABELLED
    target.mkdir(exist_ok=True)
    vae.save(target / "model")
    classes = vae.encode(patches)["class"].to_numpy().astype(int).tolist()
    content = {"names": list(labels), "classes": classes}
    (target / CLASSES).write_text(json.dumps(content), encoding="utf-8")
    return target


def _say(done: int, total: int, /) -> None:
    print(json.dumps({"done": done, "total": total}), flush=True)


if __name__ == "__main__":
    try:
        print(json.dumps({"finished": str(train(Path(sys.argv[1])))}), flush=True)
    except InvaeError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)
