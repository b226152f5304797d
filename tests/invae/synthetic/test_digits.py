"""Digits of an idx file: read with care, turned and shifted by what is said."""

import gzip
import struct

import numpy as np
import pytest

from invae.config import DigitsConfig
from invae.errors import InputError
from invae.storage import store
from invae.synthetic.digits import read_images, read_labels, simulate, turn


def idx(values: np.ndarray, magic: int) -> bytes:
    return struct.pack(f">{1 + values.ndim}i", magic, *values.shape) + values.tobytes()


@pytest.fixture(scope="module")
def strokes() -> np.ndarray:
    """Smooth blots inside frames of 28², uint8."""
    rng = np.random.default_rng(0)
    y, x = np.indices((28, 28)) - 13.5
    centres, widths = rng.uniform(-5, 5, (12, 3, 2)), rng.uniform(1.5, 3, (12, 3))
    away = (y - centres[..., :1, None]) ** 2 + (x - centres[..., 1:, None]) ** 2
    blots = np.exp(-away / (2 * widths[..., None, None] ** 2)).max(1)
    return (255 * blots).astype(np.uint8)


def centre(images: np.ndarray) -> np.ndarray:
    """Centres of mass from the middle (frame, 2) [pixel]."""
    places = np.indices(images.shape[1:]) - (images.shape[1] - 1) / 2
    return np.einsum("axy,fxy->fa", places, images) / images.sum((1, 2))[:, None]


def test_upright_digits_stay_as_they_are(strokes):
    same = turn(strokes, None, DigitsConfig(angle=0), seed=1)["image"]
    np.testing.assert_allclose(same, strokes / 255, atol=1e-5)
    framed = turn(strokes, None, DigitsConfig(angle=0, size=40), seed=1)["image"]
    np.testing.assert_allclose(framed[:, 6:-6, 6:-6], strokes / 255, atol=1e-5)
    assert float(framed[:, :5].max()) == 0


@pytest.mark.parametrize("seed", [0, 21])
def test_centres_of_mass_turn_and_shift_as_is_said(strokes, seed):
    turned = turn(strokes, None, DigitsConfig(size=64, shift=0.15), seed=seed)
    y, x = centre(strokes.astype(float)).T
    cos, sin = np.cos(turned["angle"].to_numpy()), np.sin(turned["angle"].to_numpy())
    # np.rot90 brings what lies right (x) to the top (−y)
    expected = np.stack((cos * y - sin * x, sin * y + cos * x), 1) + turned["shift"].to_numpy()
    np.testing.assert_allclose(centre(turned["image"].to_numpy()), expected, atol=0.05)
    assert np.abs(turned["shift"]).max() <= 0.15 * 64


def test_digits_are_kept_beside_their_pictures(strokes):
    labels = np.arange(12, dtype=np.uint8) % 10
    turned = turn(strokes, labels, DigitsConfig(n_images=5), seed=1)
    assert turned["digit"].to_numpy().tolist() == [0, 1, 2, 3, 4]
    assert turned["digit"].attrs["flag_meanings"] == "0 1 2 3 4 5 6 7 8 9"
    assert "digit" not in turn(strokes, None, DigitsConfig(), seed=1)


@pytest.mark.parametrize("compressed", [False, True])
def test_idx_files_are_read_compressed_or_not(strokes, tmp_path, compressed):
    pack = gzip.compress if compressed else bytes
    (tmp_path / "images").write_bytes(pack(idx(strokes, 2051)))
    (tmp_path / "labels").write_bytes(pack(idx(np.arange(12, dtype=np.uint8), 2049)))
    np.testing.assert_array_equal(read_images(tmp_path / "images"), strokes)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels"), np.arange(12))


def test_a_store_holds_what_the_set_in_memory_holds(strokes, tmp_path):
    (tmp_path / "images").write_bytes(idx(strokes, 2051))
    config = DigitsConfig(shift=0.1, noise=0.1)
    simulate(tmp_path / "digits.zarr", config=config, seed=2, images=tmp_path / "images")
    expected = turn(strokes, None, config, seed=2)
    stored = store.open_store(tmp_path / "digits.zarr")["image"]
    np.testing.assert_allclose(stored, expected["image"], atol=1e-6)
    truth = store.open_store(tmp_path / "digits.zarr", group="truth")
    np.testing.assert_array_equal(truth["shift"], expected["shift"])
    receipt = store.read_receipt(tmp_path / "digits.zarr")
    assert receipt is not None
    assert [source.name for source in receipt.sources] == ["images"]


def test_mnist_is_read(shared_data):
    folder = shared_data / "digits"
    images = read_images(folder / "t10k-images-idx3-ubyte.gz")
    labels = read_labels(folder / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


BROKEN = {
    "empty": (b"", r"begins with 0, .*2051"),
    "labels": (idx(np.zeros(3, np.uint8), 2049), r"begins with 2049, .*2051"),
    "short": (idx(np.zeros((2, 4, 4), np.uint8), 2051)[:-5], r"holds 27 bytes, .*32"),
    "long": (idx(np.zeros((2, 4, 4), np.uint8), 2051) + b"1", r"holds 33 bytes, .*32"),
    "half a header": (struct.pack(">2i", 2051, 3), "begins with 2051"),
    "no pictures": (idx(np.zeros((0, 4, 4), np.uint8), 2051), "0 × 4 × 4 images"),
    "torn gzip": (gzip.compress(idx(np.zeros((9, 9, 9), np.uint8), 2051))[:-9], "truncated"),
    "torn in the middle": (b"\x1f\x8b\x08\x00" + bytes(20), "is damaged or truncated"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        read_images(tmp_path / "images")
    assert "\n" not in str(refused.value)
    assert "images" in str(refused.value)


def test_files_that_do_not_belong_together_are_refused(strokes, tmp_path):
    (tmp_path / "images").write_bytes(idx(strokes, 2051))
    (tmp_path / "labels").write_bytes(idx(np.arange(3, dtype=np.uint8), 2049))
    places = {"images": tmp_path / "images", "labels": tmp_path / "labels"}
    with pytest.raises(InputError, match="3 labels for the 12 images of images"):
        simulate(tmp_path / "digits.zarr", config=DigitsConfig(), seed=0, **places)
    assert not list(tmp_path.glob("*.zarr"))
    with pytest.raises(InputError, match="cannot be read"):
        simulate(tmp_path / "d.zarr", config=DigitsConfig(), seed=0, images=tmp_path / "nothing")


def test_a_frame_smaller_than_the_digits_is_refused(strokes):
    with pytest.raises(InputError, match="size 20 px is smaller than the digits' 28 px"):
        turn(strokes, None, DigitsConfig(size=20), seed=0)
