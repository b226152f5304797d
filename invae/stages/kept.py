"""Results of other settings: kept as a version of the recording before a run replaces them."""

from collections.abc import Mapping
from pathlib import Path

from invae.config import ProcessConfig
from invae.stages import stages, versions
from invae.storage import store
from invae.storage.provenance import Receipt

VALUED = ("train", "analyse", "report")
"""Stages whose outputs are kept; the others lead to them and are kept with them."""


def differing(
    recorded: Mapping[str, object], current: Mapping[str, object], section: str = ""
) -> set[str]:
    """Keys with different values; keys of only one side do not count, since settings are added over time."""
    keys: set[str] = set()
    for key in current.keys() & recorded.keys():
        old, new = recorded[key], current[key]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            keys |= differing(old, new, f"{section}{key}.")
        elif old != new:
            keys.add(f"{section}{key}")
    return keys


def to_keep(folder: Path, stage: str, config: ProcessConfig | None) -> dict[str, Receipt]:
    """Outputs to keep before a stage writes into a folder, by stage; none if no result of other settings would be lost.

    Args:
        folder: the folder of a recording.
        stage: the stage that runs; later ones follow with the same settings.
        config: the new settings; without them, whatever is replaced is kept.
    """
    receipts = {name: _receipt(folder, name) for name in VALUED}
    model = receipts["train"]
    # results of a model from elsewhere are replaced by those of an own one, whatever the settings
    is_given = config is None or (model is not None and model.recording != folder.name)
    names = list(stages.STAGES)
    lost = {
        name: receipt
        for name, receipt in receipts.items()
        if receipt is not None
        and names.index(name) >= names.index(stage)
        and (is_given or is_of_other_settings(receipt, config))
        and not is_kept(folder, name, receipt.key)
    }
    return {**belonging_together(folder), **lost} if lost else {}


def is_of_other_settings(receipt: Receipt, config: ProcessConfig | None) -> bool:
    """Whether an output was made with other settings of its stage or of those before it."""
    names = list(stages.STAGES)
    earlier = [stages.STAGES[name] for name in names[: names.index(receipt.stage) + 1]]
    sections = {section for each in earlier for section in each.sections}
    sections |= {"seed"} if any(each.seeded for each in earlier) else set()
    new = {} if config is None else stages.settings_of(config, sorted(sections))
    return bool(differing(receipt.config, new))


def is_kept(folder: Path, stage: str, key: str) -> bool:
    """Whether a version beside the folder has the output of a stage under this key."""
    _, *others = versions.folders_of(folder.parent, folder.name)
    return any(
        receipt.key == key for path in others if (receipt := _receipt(path, stage)) is not None
    )


def _receipt(folder: Path, stage: str) -> Receipt | None:
    return store.read_receipt(folder / stages.STAGES[stage].output)


def belonging_together(folder: Path) -> dict[str, Receipt]:
    """Receipts of the outputs that were each made from those before it, by stage."""
    found: dict[str, Receipt] = {}
    for name in stages.STAGES:
        receipt = _receipt(folder, name)
        if receipt is not None and (name == "train" or _follows(receipt, found)):
            found[name] = receipt
    return found


def _follows(receipt: Receipt, earlier: Mapping[str, Receipt]) -> bool:
    return all(name in earlier and earlier[name].key == key for name, key in receipt.inputs.items())


def keep(folder: Path, outputs: Mapping[str, Receipt]) -> Path:
    """Put finished outputs also into a version of their own, by links to the same files; returns its folder."""
    target = versions.folder_for(folder, outputs)
    target.mkdir(parents=True, exist_ok=True)
    for name in outputs:
        output = stages.STAGES[name].output
        store.share(folder / output, target / output)
    return target
