"""Named configurations load, fit the flow, and say in one line what is wrong."""

import re

import pytest
import yaml

from benchmarks.standstills.files import write_aliases
from flows.process import process
from invae.config import ModelConfig, ProcessConfig, named
from invae.config.describe import DelayChannels, SignalChannels, WallsConfig
from invae.errors import ConfigError

NAMES = sorted(named.available())


def walls(config: ProcessConfig) -> WallsConfig:
    assert isinstance(config.describe, WallsConfig)
    return config.describe


@pytest.mark.parametrize("name", NAMES)
def test_every_named_configuration_fits_the_flow(name):
    config = named.load(name)
    process.validate_parameters(
        {"sources": ["scan.ibw"], "out": "results", "config": config.model_dump(mode="json")}
    )
    assert config.name == name.partition("@")[0]
    assert config.description


def test_names_and_versions_are_unique():
    loaded = [named.load(name) for name in NAMES]
    assert len({(config.name, config.version) for config in loaded}) == len(loaded)


def test_the_default_is_there():
    from flows.cli.commands.options import DEFAULT_CONFIG

    assert DEFAULT_CONFIG in NAMES


def test_changes_are_yaml_under_dotted_keys():
    config = named.load(
        "pfm-walls",
        changes=[
            "training.epochs=3",
            "training.learning_rate=1e-3",
            "describe.patches.channels.delays=[-2, 0]",
            "model.encoder.kind=conv",
            "ingest.pixel_size=",
        ],
    )
    assert config.training.epochs == 3
    assert config.training.learning_rate == 1e-3
    channels = walls(config).patches.channels
    assert isinstance(channels, DelayChannels)
    assert channels.delays == (-2, 0)
    assert isinstance(config.model, ModelConfig)
    assert config.model.encoder is not None
    assert config.model.encoder.kind == "conv"
    assert config.ingest.pixel_size is None


def test_the_end_of_a_key_stands_for_the_whole_where_it_is_the_only_one():
    config = named.load("pfm-walls", changes=["scan_shape=[256, 128]", "flyback=2"])
    assert config.ingest.scan_shape == (256, 128)
    assert config.ingest.flyback == 2
    whole = named.load("pfm-walls", changes=["ingest.scan_shape=[256, 128]"])
    assert whole.ingest.scan_shape == config.ingest.scan_shape
    assert named.amended(whole, ["scan_order=serpentine"]).ingest.scan_order == "serpentine"


def test_an_end_of_several_keys_stands_for_none():
    with pytest.raises(ConfigError, match=r"config.kind: there is no such key"):
        named.load("pfm-walls", changes=["kind=walls"])


@pytest.mark.parametrize("text", ["[0, 4]", "[3]", "12"])
def test_a_scan_has_rows_and_columns(text):
    with pytest.raises(ConfigError, match=r"config.ingest.scan_shape"):
        named.load("pfm-walls", changes=[f"scan_shape={text}"])


def test_another_kind_forgets_the_settings_of_the_former():
    config = named.load("pfm-walls", changes=["describe.patches.channels.kind=signals"])
    channels = walls(config).patches.channels
    assert isinstance(channels, SignalChannels)
    assert channels.names == ("polarization",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.epoch=3"], "config.training.epoch: there is no such key; did you mean training.epochs?"),
        (["trainig.epochs=3"], "config.trainig: there is no such key; did you mean training?"),
        (["describe.patches.channels.delas=[1]"], "did you mean describe.patches.channels.delays?"),
        (["epoch=3"], "config.epoch: there is no such key; did you mean training.epochs?"),
        (["training.epochs=0"], "config.training.epochs: Input should be greater than or equal to 1, not 0"),
        (["training.epochs=many"], "config.training.epochs: .* valid integer.*, not 'many'"),
        (["model.family=rVEA"], "config.model.family: Input should be .*'rVAE'.*, not 'rVEA'"),
        (["describe.patches.channels.kind=dealy"], "config.describe.patches.channels: .*'dealy'.*'delay'"),
        (["training.epochs"], "is not key=value"),
        (["=3"], "is not key=value"),
        (["training.epochs=[1"], "the value is not YAML"),
        (["seed.x=1"], "'seed.x=1': 'seed' is 0"),
    ],
)  # fmt: skip
def test_a_wrong_change_is_explained_in_one_line(changes, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")) as caught:
        named.load("pfm-walls", changes=["seed=0", *changes])
    assert "\n" not in str(caught.value)


def test_all_errors_are_counted():
    with pytest.raises(ConfigError, match="and 1 more"):
        named.load("pfm-walls", changes=["training.epochs=0", "seed=-1"])


def test_a_name_that_does_not_exist_gets_the_nearest():
    with pytest.raises(ConfigError, match=re.escape("did you mean pfm-walls?")):
        named.load("pfm-wals")


def test_a_version_is_pinned():
    assert named.load("pfm-walls@2") == named.load("pfm-walls@v2")
    message = r"pfm-walls@99.* only 2;.*pfm-walls@99\.yaml"
    with pytest.raises(ConfigError, match=message):
        named.load("pfm-walls@99")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is not YAML"), ("- 1", "holds a list"), ("nam: x", "did you mean name")],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        named.load(str(path))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="there is no such file"):
        named.load("nowhere/mine.yaml")


def test_what_is_shown_can_be_read_again(tmp_path):
    config = named.load("pfm-walls")
    path = tmp_path / "mine.yaml"
    path.write_text(named.as_yaml(config))
    assert named.load(str(path)) == config


def test_every_setting_is_a_key_that_can_be_changed():
    keys = set(named.keys_of(ProcessConfig))

    def walk(values, prefix=""):
        for name, value in values.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{name}.")

    shown = yaml.safe_load(named.as_yaml(named.load("pfm-walls")))
    assert set(walk(shown)) <= keys


@pytest.mark.parametrize("change", ["", " training.epochs=3 compute.scheduler=tcp://dask:8786"])
def test_the_flow_takes_a_pinned_name_for_a_configuration(change):
    values = {"sources": ["scan.ibw"], "out": "results", "config": f"pfm-walls@2{change}"}
    wanted = named.load("pfm-walls", changes=change.split())
    assert process.validate_parameters(values)["config"] == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pfm-wals@1", "did you mean pfm-walls?"),
        ("pfm-walls@99", "there is no such version, only 2"),
        ("pfm-walls@2 training.epoch=3", "did you mean training.epochs?"),
        ("", "config '' does not exist"),
    ],
)
def test_a_name_that_the_flow_cannot_take_is_explained(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        process.validate_parameters({"sources": [], "out": "results", "config": text})


def test_the_flow_takes_no_file_for_a_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(named.as_yaml(named.load("pfm-walls")))
    with pytest.raises(ConfigError, match=r"mine\.yaml' does not exist"):
        process.validate_parameters({"sources": [], "out": "results", "config": str(path)})


def test_aliases_are_refused_before_they_are_multiplied(tmp_path):
    path = write_aliases(tmp_path / "bomb.yaml")
    with pytest.raises(ConfigError, match="aliases"):
        named.read(path)


@pytest.mark.parametrize(
    "value",
    ["[" * 5000 + "]" * 5000, "9" * 5000, "[&a [x], *a]", "!!python/object/apply:os.system [ls]"],
)
def test_odd_values_are_refused_in_one_short_line(value):
    with pytest.raises(ConfigError) as caught:
        named.load("demo", changes=[f"training.epochs={value}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_large_file_is_no_configuration(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text("#" * 2_000_000)
    with pytest.raises(ConfigError, match="2000000 bytes"):
        named.read(path)
