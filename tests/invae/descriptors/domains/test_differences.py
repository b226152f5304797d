"""Channels of motion: a frame and its changes in time, without the scale of dust."""

import numpy as np
import pytest

from invae.config.describe import DifferenceChannels, PatchConfig, SignalChannels
from invae.descriptors.domains.channels import differences, limited, plan, softened

MOTION = DifferenceChannels(gain=2.0, smoothing=0.0, clip=1.3)
SHAPE = (2, 3, 8, 8)


def frames(*values: float) -> np.ndarray:
    return np.broadcast_to(np.array(values)[None, :, None, None], SHAPE).astype(np.float32)


def test_channels_are_the_frame_and_its_changes_with_the_gain():
    patch, valid = differences(frames(0.5, 0.75, 0.25), np.ones(SHAPE, bool), config=MOTION)
    np.testing.assert_allclose(patch, frames(0.5, 0.5, 0.5))
    assert valid.all()


def test_a_change_is_known_only_where_both_frames_are():
    valid = np.ones(SHAPE, bool)
    valid[:, 1, 0, 0] = False
    patch, believed = differences(frames(0.5, 0.75, 0.25), valid, config=MOTION)
    assert believed[:, 0].all()
    assert not believed[:, 1, 0, 0].any()
    assert believed[:, 2].all()
    assert (patch[:, 1, 0, 0] == 0).all()


def test_dust_is_clipped_before_it_is_smoothed():
    values = np.full((32, 32), 0.8)
    values[16, 16] = 50.0
    smooth, valid = softened(values, np.ones(values.shape, bool), config=DifferenceChannels())
    assert valid.all()
    assert smooth.max() < 1.0
    assert softened(values, valid, config=MOTION)[0].max() == 1.3


@pytest.mark.parametrize(
    ("signal", "largest"), [("polarization", 1.5), ("amplitude", 1.5), ("height", 9.0)]
)
def test_patches_are_clipped_in_units_of_a_typical_domain_only(signal, largest):
    values = np.array([[-9.0, 0.4, 9.0]])
    clipped = limited(values, signal=signal, clip=1.5)
    assert clipped.max() == largest
    assert clipped[0, 1] == 0.4
    assert limited(values, signal=signal, clip=None) is values


def test_short_series_have_one_channel():
    assert [channel.name for channel in plan(DifferenceChannels(), n_frames=2)[0]] == ["t"]
    channels, remark = plan(DifferenceChannels(), n_frames=3)
    assert [channel.delay for channel in channels] == [0, 1, -1]
    assert remark == ""


def test_settings_at_their_defaults_change_no_key():
    assert "clip" not in PatchConfig(channels=SignalChannels()).model_dump(mode="json")
    assert PatchConfig(clip=1.5).model_dump(mode="json")["clip"] == 1.5
