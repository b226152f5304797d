"""invae: recordings from electron and scanning-probe microscopes to invariant latent maps."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from invae.estimators.clustering import Clustering as Clustering
    from invae.estimators.clustering import cluster as cluster
    from invae.estimators.dual_vae import DualVAE as DualVAE
    from invae.estimators.encoder_decoder import EncoderDecoder as EncoderDecoder
    from invae.estimators.ensemble import Ensemble as Ensemble
    from invae.estimators.invariant_vae import InvariantVAE as InvariantVAE
    from invae.readers import open_recording as open_recording
    from invae.report.explorer.widget import explore as explore
    from invae.report.opened_result import open_result as open_result

_HOMES = {
    "open_recording": "invae.readers",
    "open_result": "invae.report.opened_result",
    "explore": "invae.report.explorer.widget",
    "InvariantVAE": "invae.estimators.invariant_vae",
    "Ensemble": "invae.estimators.ensemble",
    "EncoderDecoder": "invae.estimators.encoder_decoder",
    "DualVAE": "invae.estimators.dual_vae",
    "Clustering": "invae.estimators.clustering",
    "cluster": "invae.estimators.clustering",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `import invae` stays fast."""
    if name == "active":
        return import_module("invae.active")
    if name not in _HOMES:
        raise AttributeError(f"module 'invae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOMES])
