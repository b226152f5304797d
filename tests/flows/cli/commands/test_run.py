"""`invae run` looks at local files before it starts a server."""

from contextlib import AbstractContextManager

import numpy as np
import pytest

from flows.cli.main import execute
from flows.service import server


@pytest.fixture(autouse=True)
def _no_server_may_start(monkeypatch):
    def refuse(say: object) -> AbstractContextManager[str]:
        raise AssertionError("a server was started")

    monkeypatch.setattr(server, "prefect_api", refuse)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.ibw", b"", "is empty"),
        ("scan.h5", b"\x89HDF\r\n\x1a\nrest", "scan.h5"),
    ],
)
def test_a_broken_file_is_refused_without_a_server(tmp_path, capsys, name, content, words):
    file = tmp_path / name
    file.write_bytes(content)
    assert execute(["run", str(file), "--config", "pfm-walls", "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err


def test_a_recording_of_another_kind_is_refused_without_a_server(tmp_path, capsys):
    file = tmp_path / "movie.npy"
    np.save(file, np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32))
    options = ["--config", "fourd-rvae", "--out", str(tmp_path / "out")]
    assert execute(["run", str(file), *options]) == 1
    assert "fourd-rvae needs" in capsys.readouterr().err
