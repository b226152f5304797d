"""Networks in folders: a whole one or none, and nothing of others is lost."""

import pytest
import torch

from invae.config.segment import AtomNetworkConfig
from invae.errors import StoreError
from invae.models.networks.unet import UNet
from invae.segmentation import network_folder
from invae.segmentation.tasks import ATOMS

CONFIG = AtomNetworkConfig(width=4)


def network(seed: int) -> UNet:
    torch.manual_seed(seed)
    return UNet(CONFIG.width)


def test_a_new_network_takes_the_place_of_the_old_one_as_a_whole(tmp_path):
    folder = tmp_path / "finder"
    for seed in (0, 1):
        network_folder.save(folder, network(seed), CONFIG, scores={"f1": float(seed)})
    assert [one.name for one in tmp_path.iterdir()] == ["finder"]
    assert {one.name for one in folder.iterdir()} == set(network_folder.files_of(ATOMS))
    expected = network(1).state_dict()
    for name, value in network_folder.load(folder).state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-3)


def test_a_network_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    folder = tmp_path / "finder"
    network_folder.save(folder, network(0), CONFIG, scores={})
    with pytest.raises(TypeError):
        network_folder.save(folder, network(1), CONFIG, scores={"f1": object()})  # type: ignore[dict-item]
    torch.testing.assert_close(
        network_folder.load(folder).state_dict()["mark.weight"],
        network(0).state_dict()["mark.weight"],
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds notes\.txt, which is no network; choose a new"):
        network_folder.save(tmp_path, network(0), CONFIG, scores={})
    assert (tmp_path / "notes.txt").read_text() == "mine"
