"""The page about notebooks: its blocks run as they stand, the last one on a result."""

import shutil

from tests.docs.blocks import DOCS, python_blocks


def test_the_blocks_run(small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run.store("analyse").parent, tmp_path / "results" / "scan_0001")
    blocks = python_blocks(DOCS / "library.md")
    assert len(blocks) == 3
    known: dict[str, object] = {}
    for block in blocks[:2]:
        exec(compile(block, "library.md", "exec"), known)
    lines = blocks[2].splitlines()
    parts = [line for line in lines if not line.startswith(("result.maps", "result.images"))]
    exec(compile("\n".join(parts), "library.md", "exec"), known)
