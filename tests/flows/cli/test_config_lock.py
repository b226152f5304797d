"""A published version of a configuration never changes; a changed configuration needs a new version."""

import json
import shutil
from io import StringIO

import pytest
from rich.console import Console

from flows.cli import config_lock
from flows.cli.commands.before_run import note_changed_settings
from flows.cli.main import execute
from invae.config import named


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of the named configurations, to be changed."""
    copy = shutil.copytree(named.folder(), tmp_path / "configs")
    monkeypatch.setattr(named, "FOLDERS", (copy,))
    return copy


def lines(folder) -> list[str]:
    return config_lock.violations(named.available(), folder / config_lock.LOCK)


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_no_shipped_version_has_changed():
    violations = lines(named.folder())
    assert not violations, "\n".join(violations)


def test_every_file_has_the_name_of_its_configuration():
    for key in named.available():
        config = named.load(key)
        assert key in (config.name, named.label(config))


def test_a_change_without_a_new_version_is_reported_with_a_remedy(configs):
    edit(configs / "demo.yaml", "epochs: 30", "epochs: 31")
    (line,) = lines(configs)
    assert line.startswith("demo@2 has changed: restore it as demo@2.yaml")
    assert "give demo.yaml a new version, and run `python -m flows.cli.config_lock`" in line
    assert config_lock.main() == 1, "recorded digests are not overwritten"


def test_descriptions_and_comments_are_no_change(configs):
    edit(configs / "demo.yaml", "small and fast", "fast and small")
    edit(configs / "demo.yaml", "name: demo", "# A comment.\nname: demo")
    assert lines(configs) == []


def test_a_new_version_is_reported_and_then_recorded(configs):
    shutil.copy(configs / "demo.yaml", configs / "demo@2.yaml")
    edit(configs / "demo.yaml", "epochs: 30", "epochs: 31")
    edit(configs / "demo.yaml", 'version: "2"', 'version: "3"')
    (line,) = lines(configs)
    assert line.startswith("demo@3 is not in ")
    assert config_lock.main() == 0
    assert lines(configs) == []


def test_both_versions_are_shown_and_can_be_chosen(configs, capsys):
    shutil.copy(configs / "demo.yaml", configs / "demo@2.yaml")
    edit(configs / "demo.yaml", 'version: "2"', 'version: "3"')
    assert named.versions_of("demo") == ["3", "2"]
    assert execute(["configs"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("demo")]
    assert line.startswith("demo@3 ")
    assert line.endswith("(also @2)")
    assert execute(["configs", "demo@2"]) == 0
    assert "version: '2'" in capsys.readouterr().out
    assert execute(["configs", "demo@4"]) == 1
    assert "there is no such version, only 3, 2;" in capsys.readouterr().err


def test_results_with_other_settings_of_the_same_version_are_noted(tmp_path):
    scan, output = tmp_path / "scan.npy", StringIO()
    config = named.load("demo")
    values = config.model_dump(mode="json")
    values["training"] |= {"epochs": 31}
    del values["analyse"], values["model"]["beta"]

    def note(recorded: dict[str, object]) -> str:
        output.truncate(0)
        (tmp_path / "scan").mkdir(exist_ok=True)
        (tmp_path / "scan" / "run.json").write_text(json.dumps({"config": recorded}))
        note_changed_settings([scan], tmp_path, config, name=None, console=Console(file=output))
        return output.getvalue().strip("\0\n")

    assert "demo@2 (training.epochs)" in note(values)
    assert note({**values, "version": "0"}) == "", "the version differs as well"
    assert note(config.model_dump(mode="json")) == ""
