"""Foreign objects: discs beside a disc are found, also where they touch it; they do not count, and encoders see them filled."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from invae import InvariantVAE
from invae.config import ModelConfig
from invae.errors import ConfigError
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.foreign_objects import ForeignObjects, joined, nearer
from invae.models.signals import Signals

SIDE = 28
N_PATCHES = 60
MASK = {"kind": "gaussian", "foreign": "mask"}


def disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1)


def discs(*, noise: float = 0.0) -> np.ndarray:
    """Discs of several radii near the centre (patch, y, x)."""
    rng = np.random.default_rng(0)
    middle, radius = (
        rng.uniform(12.5, 14.5, (N_PATCHES, 2)),
        rng.uniform(4.5, 6, N_PATCHES),
    )
    images = np.stack([disc(y, x, r) for (y, x), r in zip(middle, radius, strict=True)])
    return images + rng.normal(0, noise, images.shape)


def with_second(
    images: np.ndarray, distance: float, *, every: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """A second disc in some images, at a distance from the middle [pixel], and its pixels."""
    added, rng = np.zeros_like(images), np.random.default_rng(1)
    for k in range(0, len(images), every):
        turn = rng.uniform(0, 2 * np.pi)
        place = (13.5 + distance * np.sin(turn), 13.5 + distance * np.cos(turn))
        added[k] = disc(*place, 4.0)
    return np.maximum(images, added), (added > 0.5) & (images < 0.5)


def standard(images: np.ndarray) -> Patches:
    values = torch.from_numpy((images - images.mean()) / images.std()).float().unsqueeze(1)
    return Patches(values)


def found_in(images: np.ndarray) -> np.ndarray:
    patches, finder = standard(images), ForeignObjects(Geometry(1, SIDE, SIDE))
    finder.start(patches)
    return finder(patches)[:, 0].numpy()


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(("distance", "every"), [(14.0, 2), (11.0, 2), (9.5, 6)])
def test_a_second_object_is_found_also_where_it_touches_the_first(
    distance: float, every: int, noise: float
):
    images, second = with_second(discs(noise=noise), distance, every=every)
    found = found_in(images)
    assert (found & second).sum() / (found | second).sum() > 0.7
    assert found[1::2].mean() < 1e-3


def test_almost_nothing_is_found_in_patches_of_one_object():
    assert found_in(discs(noise=0.1)).mean() < 1e-3


def test_objects_that_cover_most_of_a_patch_are_not_foreign():
    rng = np.random.default_rng(3)
    radius = rng.uniform(11, 14, N_PATCHES)
    assert found_in(np.stack([disc(13.5, 13.5, r) for r in radius])).mean() < 5e-3


def bar(turn: float, half_length: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE] - 13.5
    along = np.cos(turn) * columns + np.sin(turn) * rows
    across = np.cos(turn) * rows - np.sin(turn) * columns
    return np.clip(half_length + 0.5 - np.abs(along), 0, 1) * np.clip(2.5 - np.abs(across), 0, 1)


def test_the_tips_of_objects_that_are_longer_than_others_are_their_own():
    rng = np.random.default_rng(4)
    lengths = rng.uniform(8, 9, N_PATCHES)
    lengths[:3] = 10.5
    turns = rng.uniform(0, 2 * np.pi, N_PATCHES)
    assert not found_in(np.stack([bar(t, n) for t, n in zip(turns, lengths, strict=True)])).any()


def test_a_brighter_patch_is_not_foreign():
    images = discs()
    images[::3] += 0.15
    assert found_in(images).mean() < 1e-3


def test_a_pixel_goes_to_the_region_that_is_nearer_within_the_allowed_pixels():
    row = torch.ones(1, 1, 1, 9, dtype=torch.bool)
    row[..., 7] = False
    first, second = torch.zeros_like(row), torch.zeros_like(row)
    first[..., 0] = second[..., 6] = True
    assert joined(first, within=row).flatten().tolist() == [True] * 7 + [False] * 2
    assert nearer(first, second, within=row).flatten().tolist()[:7] == [True] * 3 + [False] * 4


@pytest.fixture
def model():
    config = ModelConfig.model_validate(
        {"family": "jrtVAE", "n_classes": 2, "likelihood": MASK, "rotation": {"n_angles": 16}}
    )
    built = build(config, Geometry(1, SIDE, SIDE), seed=0)
    assert built.main.foreign is not None
    built.main.foreign.start(built.main.standardise(standard(discs())))
    return built


def test_values_of_hidden_pixels_do_not_count(model):
    images, second = with_second(discs(), 14.0)
    cleared = model.main.cleared(standard(images))
    assert (cleared.hidden[:, 0].numpy() & second).sum() > 0.7 * second.sum()
    brighter = replace(cleared, values=cleared.values + 3.0 * cleared.hidden)
    latents = model.infer(Signals.of_image(cleared)).latents
    one, other = (
        model.evidence(latents, Signals.of_image(each)).log_likelihood
        for each in (cleared, brighter)
    )
    torch.testing.assert_close(one, other)


def test_encoders_see_the_level_of_the_surroundings_instead(model):
    alone = discs()
    both, _ = with_second(alone, 14.0)
    alone, both = ((images - both.mean()) / both.std() for images in (alone, both))
    alone, both = (
        Patches(torch.from_numpy(images).float().unsqueeze(1)) for images in (alone, both)
    )
    looked_at_all = replace(both, hidden=torch.zeros_like(both.values, dtype=torch.bool))
    shift, masked, kept = (
        model.infer(Signals.of_image(patches)).latents["shift"]
        for patches in (alone, both, looked_at_all)
    )
    assert (masked - shift).abs().mean() < 0.1 * (kept - shift).abs().mean()


def test_a_masked_pixel_stays_masked_and_a_hidden_one_has_no_weight():
    valid = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    valid[..., 0, 0] = False
    hidden = torch.zeros_like(valid)
    hidden[..., 1, 1] = True
    patches = Patches(torch.ones(1, 1, 2, 2), valid, hidden=hidden)
    assert patches.weight.flatten().tolist() == [0, 1, 1, 0]
    assert patches.take([0]).counted.weight.flatten().tolist() == [0, 1, 1, 0]


def test_the_array_of_the_caller_is_left_alone_and_the_masks_are_available():
    images, second = with_second(discs(), 14.0)
    given = images.astype(np.float32)[:, None]
    before = given.copy()
    vae = InvariantVAE("rVAE", likelihood=MASK, training={"epochs": 1}).fit(given)
    found = vae.foreign_mask(given)
    assert found.dims == ("site", "patch_y", "patch_x")
    shares = vae.encode(given)["foreign_share"]
    np.testing.assert_allclose(shares, found.mean(("patch_y", "patch_x")), rtol=1e-6)
    assert (found.to_numpy() & second).sum() > 0.7 * second.sum()
    np.testing.assert_array_equal(given, before)


def test_masks_survive_saving(tmp_path):
    images, _ = with_second(discs(), 14.0)
    vae = InvariantVAE("rVAE", likelihood=MASK, training={"epochs": 1}).fit(images)
    vae.save(tmp_path)
    again = InvariantVAE.load(tmp_path).foreign_mask(images)
    assert again.any()
    np.testing.assert_array_equal(again, vae.foreign_mask(images))


def test_a_model_that_does_not_look_for_them_finds_none():
    images, _ = with_second(discs(), 14.0)
    vae = InvariantVAE("rVAE", training={"epochs": 1}).fit(images)
    assert not vae.foreign_mask(images).any()
    assert "foreign_share" not in vae.encode(images)


def test_families_without_rotation_are_refused():
    with pytest.raises(ConfigError, match="has no rotation"):
        InvariantVAE("tVAE", likelihood=MASK, training={"epochs": 1}).fit(discs())


def test_configurations_that_keep_foreign_objects_are_written_as_before():
    assert "foreign" not in ModelConfig().model_dump()["likelihood"]
