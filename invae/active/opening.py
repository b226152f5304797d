"""Opening a search: candidates, model, instrument and ledger from paths and settings."""

from pathlib import Path

from invae.active.candidates import candidates_of
from invae.active.instruments import instrument_of
from invae.active.search import Search
from invae.active.session import Session
from invae.config import ProcessConfig
from invae.config.search import InstrumentConfig
from invae.storage import store
from invae.storage.provenance import digest_json, digest_path


def open_session(
    patches: Path, folder: Path, config: ProcessConfig, instrument: InstrumentConfig
) -> Session:
    """The search of a folder: a new one, or as far as its ledger says.

    Raises:
        StoreError: The folder has another search, or a store is missing.
        InputError: The candidates cannot be used.
        ConfigError: There is no such instrument, target or model.
    """
    candidates = candidates_of(patches)
    model = None if instrument.model is None else Path(instrument.model)
    search = Search(candidates, config.search, model=model)
    receipt = store.read_receipt(patches)
    key = digest_json(
        [
            digest_path(patches).sha256 if receipt is None else receipt.key,
            config.search.model_dump(mode="json"),
            None if model is None else digest_path(model).sha256,
            instrument.name.partition(":")[0],
        ]
    )
    measuring = instrument_of(
        instrument.name, patches, seed=config.search.seed, timeout=instrument.timeout
    )
    return Session(folder, search, measuring, key=key)
