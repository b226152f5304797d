"""All figures of the report, in the order of the page."""

from collections.abc import Mapping

from invae.report import baseline, changes, classes, follow, frames, latents, quality
from invae.report.drawing import Draw

SECTIONS: Mapping[str, tuple[Draw, ...]] = {
    "What was recorded": (frames.overview, frames.signals, frames.drift),
    "What the model sees": (latents.content, latents.angle, latents.manifold, latents.scatter),
    "What it means": (follow.association,),
    "Classes of sites": (classes.on_image, classes.patches, classes.bic),
    "What changes": (changes.transitions, changes.over_time, changes.pinning),
    "How far to trust it": (quality.training, quality.examples, quality.error, baseline.components),
}
"""Section → its figures; a new figure is a function and a place here."""
