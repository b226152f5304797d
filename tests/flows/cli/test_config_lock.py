"""A version of a configuration is given once: whoever changes what it says is told to raise it."""

import json
import shutil
from io import StringIO

import pytest
from rich.console import Console

from flows.cli import config_lock
from flows.cli.commands.execute import say_if_settings_differ
from flows.cli.main import execute
from invae.config import named


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of the named configurations, to be changed."""
    copy = shutil.copytree(named.folder(), tmp_path / "configs")
    monkeypatch.setattr(named, "FOLDERS", (copy,))
    return copy


def lines(folder) -> list[str]:
    return config_lock.troubles(named.available(), folder / config_lock.LOCK)


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_shipped_version_says_what_it_said_when_it_was_given():
    told = lines(named.folder())
    assert not told, "\n".join(told)


def test_every_file_beside_the_current_one_is_called_what_it_is():
    for key in named.available():
        config = named.load(key)
        assert key in (config.name, named.label(config))


def test_a_change_without_a_new_version_is_told_with_what_to_do(configs):
    edit(configs / "demo.yaml", "epochs: 30", "epochs: 31")
    (line,) = lines(configs)
    assert line.startswith("demo@1 has changed: keep what it was as demo@1.yaml")
    assert "give demo.yaml a new version, and run `python -m flows.cli.config_lock`" in line
    assert config_lock.main() == 1, "what was written down is not written over"


def test_words_and_comments_are_no_change(configs):
    edit(configs / "demo.yaml", "small and fast", "fast and small")
    edit(configs / "demo.yaml", "# What", "# That which")
    assert lines(configs) == []


def test_a_new_version_is_asked_for_and_then_written_down(configs):
    shutil.copy(configs / "demo.yaml", configs / "demo@1.yaml")
    edit(configs / "demo.yaml", "epochs: 30", "epochs: 31")
    edit(configs / "demo.yaml", 'version: "1"', 'version: "2"')
    (line,) = lines(configs)
    assert line.startswith("demo@2 is not in ")
    assert config_lock.main() == 0
    assert lines(configs) == []


def test_both_versions_are_shown_and_can_be_chosen(configs, capsys):
    shutil.copy(configs / "demo.yaml", configs / "demo@1.yaml")
    edit(configs / "demo.yaml", 'version: "1"', 'version: "2"')
    assert named.versions_of("demo") == ["2", "1"]
    assert execute(["configs"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("demo")]
    assert line.startswith("demo@2 ")
    assert line.endswith("(also @1)")
    assert execute(["configs", "demo@1"]) == 0
    assert "version: '1'" in capsys.readouterr().out
    assert execute(["configs", "demo@3"]) == 1
    assert "there is no such version, only 2, 1;" in capsys.readouterr().err


def test_results_made_with_other_settings_under_the_same_version_are_told(tmp_path):
    scan, told = tmp_path / "scan.npy", StringIO()
    config = named.load("demo")
    values = config.model_dump(mode="json")
    values["training"] |= {"epochs": 31}
    del values["analyse"], values["model"]["beta"]

    def say(before: dict[str, object]) -> str:
        told.truncate(0)
        (tmp_path / "scan").mkdir(exist_ok=True)
        (tmp_path / "scan" / "run.json").write_text(json.dumps({"config": before}))
        say_if_settings_differ([scan], tmp_path, config, name=None, console=Console(file=told))
        return told.getvalue().strip("\0\n")

    assert say(values) == (
        f"note: {tmp_path / 'scan'} was made with another demo@1 (training.epochs): with --set, "
        "or the configuration was changed without a new version"
    )
    assert say({**values, "version": "0"}) == "", "it has a version of its own"
    assert say(config.model_dump(mode="json")) == ""
