"""The store of a search: candidates, settings and every measurement in order."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from invae import dims
from invae.active.candidates import candidates_of
from invae.active.history import Observation
from invae.active.surrogates import Foreknowledge
from invae.active.targets import axis_of, axis_words
from invae.active.verdict import verdict_of
from invae.config.search import SearchConfig
from invae.errors import StoreError
from invae.storage import store
from invae.storage.code_digest import code_digest
from invae.storage.provenance import Receipt, digest_json, now, stage_key, versions

if TYPE_CHECKING:
    from invae.active.search import Search

STAGE = "search"
MEASURED, MODEL = "measured", "model"
"""Groups: measurements in order, and what a trained model said of the candidates."""
OBSERVATION = "observation"
NUMBERS = ("candidate", "valid", "value", "sd", "predicted", "lower", "upper", "expected_gain")
TEXTS = ("reason", "target")


def save(search: "Search", path: Path) -> None:
    """Write a search; an older store is replaced at the moment when this one is complete.

    Raises:
        NoRoom: If the disk is full.
    """
    receipt = receipt_of(search, path)
    partial = store.begin(path, receipt.key)
    candidates = search.candidates.dataset().assign(
        forbidden=(dims.SITE, search.forbidden, dims.attrs("must not be measured"))
    )
    verdict = verdict_of(search).attrs() if search.history else {}
    store.write_dataset(partial, candidates.assign_attrs(_settings(search) | verdict))
    store.write_dataset(partial, history_dataset(search), group=MEASURED)
    if search.foreknowledge is not None:
        store.write_dataset(partial, _model(search.foreknowledge), group=MODEL)
    store.publish(partial, path, receipt)


def resume(path: Path) -> "Search":
    """The search of a store.

    Raises:
        StoreError: It is missing, unfinished, or no search.
    """
    from invae.active.search import Search

    root = store.open_store(path).load()
    if "search_config" not in root.attrs:
        raise StoreError(f"{path} holds no search; give a store that Search.save made")
    config = SearchConfig.model_validate_json(root.attrs["search_config"])
    known = None
    if (path / MODEL).is_dir():
        model = store.open_store(path, group=MODEL).load()
        latents = model["latents"].to_numpy() if "latents" in model else None
        axis = axis_of(json.loads(model.attrs["axis"]))
        known = Foreknowledge(model["spectra"].to_numpy(), latents, axis)
    search = Search(
        candidates_of(root), config, model=known, forbidden=root["forbidden"].to_numpy()
    )
    measured = store.open_store(path, group=MEASURED).load()
    search.history = _observations(measured)
    words = json.loads(root.attrs["search_axis"])
    search.axis = None if words is None else axis_of(words)
    return search


def history_dataset(search: "Search") -> xr.Dataset:
    """The measurements in order (observation,), and their spectra."""
    history = search.history
    columns: dict[str, Any] = {
        name: (OBSERVATION, np.array([getattr(one, name) for one in history])) for name in NUMBERS
    }
    columns |= {
        name: (OBSERVATION, np.array([getattr(one, name) for one in history], object))
        for name in TEXTS
    }
    values, _ = search.values()
    columns["measured"] = (
        OBSERVATION,
        values,
        dims.attrs(search.config.target, search.target.units),
    )
    known = [one.spectrum for one in history]
    has = np.array([one is not None for one in known], bool)
    if has.any() and search.axis is not None:
        spectra = np.full((len(known), len(search.axis.values)), np.nan)
        spectra[has] = [one for one in known if one is not None]
        attrs = dims.attrs("measured spectrum", search.axis.value_units)
        columns["spectrum"] = ((OBSERVATION, search.axis.name), spectra, attrs)
        columns["has_spectrum"] = (OBSERVATION, has)
        return xr.Dataset(columns, coords=search.axis.coords())
    return xr.Dataset(columns)


def _observations(measured: xr.Dataset) -> list[Observation]:
    rows = []
    for k in range(measured.sizes.get(OBSERVATION, 0)):
        numbers: dict[str, Any] = {name: measured[name].to_numpy()[k].item() for name in NUMBERS}
        texts: dict[str, Any] = {name: str(measured[name].to_numpy()[k]) for name in TEXTS}
        spectrum = None
        if "has_spectrum" in measured and bool(measured["has_spectrum"][k]):
            spectrum = measured["spectrum"].to_numpy()[k]
        rows.append(Observation(**numbers, **texts, spectrum=spectrum))
    return rows


def _model(known: Foreknowledge) -> xr.Dataset:
    parts = {"spectra": ((dims.SITE, "energy"), known.spectra)}
    if known.latents is not None:
        parts["latents"] = ((dims.SITE, dims.LATENT), known.latents)
    return xr.Dataset(parts, attrs={"axis": json.dumps(axis_words(known.axis))})


def _settings(search: "Search") -> dict[str, Any]:
    words = None if search.axis is None else axis_words(search.axis)
    return {"search_config": search.config.model_dump_json(), "search_axis": json.dumps(words)}


def receipt_of(search: "Search", path: Path) -> Receipt:
    config = search.config.model_dump(mode="json")
    content = [config, [one.candidate for one in search.history], search.values()[0].tolist()]
    code = code_digest("invae.active.search")
    key = stage_key(
        STAGE, inputs=[digest_json(content)], config=config, code=code, seed=search.config.seed
    )
    return Receipt(
        stage=STAGE,
        key=key,
        recording=path.stem,
        sources=(),
        inputs={},
        config=config,
        config_hash=digest_json(config),
        seed=search.config.seed,
        code=code,
        versions=versions(),
        created=now(),
    )
