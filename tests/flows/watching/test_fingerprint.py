"""Whether files are what they were, and what is in them."""

import os
import shutil

import pytest

from flows.watching import fingerprint


@pytest.fixture
def pair(tmp_path):
    """Two files of one recording."""
    files = (tmp_path / "a.mib", tmp_path / "a.hdr")
    files[0].write_bytes(os.urandom(300_000))
    files[1].write_text("settings")
    return files


def test_a_copy_under_another_name_has_the_same_content(pair, tmp_path):
    copies = tuple(shutil.copy(file, tmp_path / f"b{file.suffix}") for file in pair)
    assert fingerprint.content_digest(
        [tmp_path / one for one in copies]
    ) == fingerprint.content_digest(pair)


def test_every_byte_of_every_file_counts(pair):
    before = fingerprint.content_digest(pair)
    pair[1].write_text("Settings")
    assert fingerprint.content_digest(pair) != before


def test_what_is_left_alone_is_the_same(pair):
    mark = fingerprint.fingerprint(pair)
    assert fingerprint.fingerprint(pair) == mark
    assert fingerprint.is_unchanged(pair, mark)


@pytest.mark.parametrize("n_bytes", [1, 70_000])
def test_growth_is_seen(pair, n_bytes):
    mark = fingerprint.fingerprint(pair)
    with pair[0].open("ab") as file:
        file.write(b"x" * n_bytes)
    assert not fingerprint.is_unchanged(pair, mark)


def test_writing_that_leaves_size_and_time_is_seen_in_samples(pair):
    mark, state = fingerprint.fingerprint(pair), pair[0].stat()
    with pair[0].open("r+b") as file:
        file.write(b"y" * 1000)
    os.utime(pair[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert fingerprint.is_unchanged(pair, mark)
    assert fingerprint.fingerprint(pair) != mark


def test_other_rights_are_seen(pair):
    mark = fingerprint.fingerprint(pair)
    pair[0].chmod(0o600 if pair[0].stat().st_mode & 0o777 != 0o600 else 0o644)
    assert not fingerprint.is_unchanged(pair, mark)


def test_files_in_a_store_count(tmp_path):
    store = tmp_path / "a.zarr"
    (store / "c").mkdir(parents=True)
    (store / "c" / "0").write_bytes(b"chunk")
    mark, digest = fingerprint.fingerprint([store]), fingerprint.content_digest([store])
    (store / "c" / "1").write_bytes(b"chunk")
    assert not fingerprint.is_unchanged([store], mark)
    assert fingerprint.content_digest([store]) != digest
    assert fingerprint.n_bytes([store]) == 10
