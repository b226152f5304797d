"""A recording and a configuration of another kind are told apart by names, axes and attributes."""

import re
from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr

from invae.config import PolycrystalConfig, named
from invae.config.kinds import Content
from invae.errors import ConfigError
from invae.readers.content import contents_of, fitting_configs, picked, refuse_other_kind
from invae.synthetic.polycrystal import draw

IMAGE = ("frame", "y", "x")


def recording(channels: Mapping[str, tuple[str, ...]], modality: str = "unknown") -> xr.Dataset:
    variables = {name: (dims, np.zeros([4] * len(dims))) for name, dims in channels.items()}
    return xr.Dataset(variables, attrs={"modality": modality})


PFM = recording({"height": IMAGE, "amplitude_1": IMAGE, "phase_1": IMAGE}, "PFM")
SIMULATED_PFM = recording({"polarization": IMAGE}, "PFM")
IMAGES = recording({"image": IMAGE}, "STEM")
SCAN = recording({"pattern": ("scan_y", "scan_x", "k_y", "k_x")}, "4D-STEM")
EELS = recording({"spectrum": ("y", "x", "energy"), "image": IMAGE}, "EELS")
POINTS = recording({"spectrum": ("point", "voltage")})
NOTHING = recording({"survey": ("survey_y", "survey_x")})


@pytest.mark.parametrize(
    ("known", "contents"),
    [
        (PFM, {"PFM"}),
        (SIMULATED_PFM, {"PFM"}),
        (IMAGES, {"images"}),
        (SCAN, {"4D-STEM"}),
        (EELS, {"spectra"}),
        (POINTS, {"spectra"}),
        (recording({"loop": ("y", "x", "voltage"), "amplitude": IMAGE, "phase": IMAGE}), {"spectra", "PFM"}),
        (NOTHING, set()),
        (recording({"pr_phase": IMAGE, "pr_amplitude": IMAGE}), {"PFM"}),
        (recording({"pfm_x": IMAGE, "pfm_y": IMAGE}), {"PFM"}),
        (recording({"x": IMAGE, "y_sensor": IMAGE}), {"images"}),
    ],
)  # fmt: skip
def test_the_content_follows_from_names_and_axes(known: xr.Dataset, contents: set[Content]) -> None:
    assert contents_of(known) == contents


@pytest.mark.parametrize(
    ("config", "known", "message"),
    [
        ("stem-atoms", PFM, "needs an image; this is PFM: try pfm-grid, pfm-layers, pfm-motion or pfm-walls, or name the channel with describe.signal"),
        ("stem-dense", SIMULATED_PFM, "needs an image; this is PFM"),
        ("fourd-rvae", PFM, "needs a 4D-STEM scan; this is PFM: try pfm-grid, pfm-layers, pfm-motion or pfm-walls"),
        ("fourd-vae", IMAGES, "needs a 4D-STEM scan; this is STEM: try stem-atoms, stem-dense or stem-movie"),
        ("pfm-walls", IMAGES, "needs PFM (amplitude and phase); this is STEM: try stem-atoms, stem-dense or stem-movie"),
        ("pfm-walls", SCAN, "needs PFM (amplitude and phase); this is 4D-STEM: try fourd-jrvae, fourd-nbed, fourd-rvae or fourd-vae"),
        ("pfm-walls", EELS, "needs PFM (amplitude and phase); this is EELS: try eels-im2spec or eels-spec2im"),
        ("stem-atoms", EELS, "needs an image; this is EELS"),
        ("stem-dense", POINTS, "needs an image; this is spectra: try "),
        ("eels-im2spec", PFM, "needs spectra; this is PFM"),
        ("spectra-vae", SCAN, "needs spectra; this is 4D-STEM"),
        ("cards-vae", SCAN, "needs a set of images; this is 4D-STEM"),
        ("pfm-walls", recording({"height": IMAGE, "deflection": IMAGE}, "PFM"),
         "this is images (deflection, height): try stem-"),
    ],
)  # fmt: skip
def test_another_kind_is_refused_with_the_configurations_that_suit(
    config: str, known: xr.Dataset, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        refuse_other_kind(known, named.load(config), name="scan.ibw")
    assert str(refused.value).startswith(f"scan.ibw: {config} needs ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "known"),
    [
        ("pfm-walls", PFM),
        ("pfm-walls", SIMULATED_PFM),
        ("stem-atoms", IMAGES),
        ("cards-vae", IMAGES),
        ("cards-vae", PFM),
        ("fourd-rvae", SCAN),
        ("eels-im2spec", EELS),
        ("spectra-vae", POINTS),
        ("pfm-walls", NOTHING),
    ],
)
def test_what_suits_and_what_is_unknown_is_accepted(config: str, known: xr.Dataset) -> None:
    refuse_other_kind(known, named.load(config), name="scan.ibw")


@pytest.mark.parametrize("known", [PFM, EELS])
def test_a_channel_that_is_named_counts_whatever_else_is_there(known: xr.Dataset) -> None:
    channel = str(list(known.data_vars)[-1])
    chosen = named.load("stem-atoms", changes=[f"describe.signal={channel}"])
    refuse_other_kind(known, chosen, name="scan.ibw")
    missing = named.load("stem-atoms", changes=["describe.signal=phases"])
    with pytest.raises(ConfigError, match=r"describe\.signal names 'phases'; the recording has"):
        refuse_other_kind(known, missing, name="scan.ibw")


def test_every_content_has_a_configuration() -> None:
    contents: tuple[Content, ...] = ("PFM", "images", "4D-STEM", "spectra")
    for content in contents:
        assert fitting_configs({content}, modality="unknown"), content


MOVIE = xr.Dataset({"image": (IMAGE, np.zeros([20, 128, 128]))}, attrs={"modality": "STEM"})
ONE_IMAGE = xr.Dataset({"image": (IMAGE, np.zeros([1, 512, 512]))}, attrs={"modality": "STEM"})
CARDS = xr.Dataset({"image": (IMAGE, np.zeros([99, 28, 28]))}, attrs={"modality": "simulated"})


@pytest.mark.parametrize(
    ("known", "config"),
    [
        (PFM, "pfm-walls"),
        (SIMULATED_PFM, "pfm-walls"),
        (SCAN, "fourd-rvae"),
        (EELS, "eels-im2spec"),
        (POINTS, "spectra-vae"),
        (MOVIE, "stem-movie"),
        (ONE_IMAGE, "stem-atoms"),
        (CARDS, "cards-rvae"),
    ],
)
def test_the_usual_configuration_suits_the_recording(known: xr.Dataset, config: str) -> None:
    pick = picked(known, name="scan.ibw")
    assert pick.config == config
    assert f"configuration {config}" in pick.sentence
    refuse_other_kind(known, named.load(config), name="scan.ibw")


def test_nothing_is_picked_for_what_is_unknown() -> None:
    with pytest.raises(ConfigError, match="choose a configuration with --config"):
        picked(NOTHING, name="scan.ibw")


def _scan_of_grains(**changes: object) -> xr.Dataset:
    values = {"n_scan_y": 16, "n_scan_x": 16, "n_grains": 4, "dose": 500, **changes}
    return draw(PolycrystalConfig.model_validate(values), seed=0)[["pattern"]]


@pytest.mark.parametrize("beam", ["recorded", "saturated", "blocked"])
def test_separate_discs_pick_the_configuration_for_grains(beam: str) -> None:
    pick = picked(_scan_of_grains(direct_beam=beam), name="scan.npz")
    assert pick.config == "fourd-nbed"
    assert "4D-STEM with separate discs" in pick.sentence


def test_noise_does_not_pick_it() -> None:
    counts = np.random.default_rng(0).poisson(0.3, (16, 16, 32, 32)).astype(np.uint16)
    noise = xr.Dataset({"pattern": (("scan_y", "scan_x", "k_y", "k_x"), counts)})
    assert picked(noise, name="scan.npz").config == "fourd-rvae"
