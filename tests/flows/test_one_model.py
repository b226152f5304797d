"""Many recordings to one model, and one model to many recordings."""

import json
import shutil
from pathlib import Path

import pytest

from flows.cli.main import execute
from invae.config import named
from invae.config.synthetic import DomainsConfig
from invae.storage import store
from invae.synthetic.domains import simulate


@pytest.fixture(scope="module")
def out(recording, config, tmp_path_factory) -> Path:
    """Two recordings that are described, and one model of both."""
    folder = tmp_path_factory.mktemp("one_model")
    out, settings = folder / "results", folder / "config.yaml"
    series = named.changed({}, ["rows=64", "columns=64", "n_frames=8", "margin=16"])
    simulate(folder / "second.zarr", config=DomainsConfig.model_validate(series), seed=12)
    settings.write_text(named.as_yaml(config))
    for source in (recording, folder / "second.zarr"):
        words = ["--config", str(settings), "--out", str(out)]
        assert execute(["ingest", str(source), *words]) == 0
        assert execute(["describe", *words, "--name", source.stem]) == 0
    (out / "versions").mkdir()
    folders = [str(path) for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    assert execute(["train", *folders, "--model", str(folder / "models" / "both")]) == 0
    return out


@pytest.fixture
def model(out) -> Path:
    return out.parent / "models" / "both"


def test_the_model_names_all_that_it_was_trained_on(out, model):
    receipt = store.read_receipt(model)
    assert receipt is not None
    descriptors = {
        f"describe/{name}": store.read_receipt(out / name / "descriptors.zarr")
        for name in ("domains", "second")
    }
    assert receipt.inputs == {name: made.key for name, made in descriptors.items() if made}
    assert [source.name for source in receipt.sources] == ["domains.zarr", "second.zarr"]
    parts = json.loads((model / "recordings.json").read_text())
    assert [part["recording"] for part in parts] == ["domains", "second"]
    assert not (model.parent / "run.json").exists()


def test_the_same_training_is_not_done_again(out, model, capsys):
    assert execute(["train", f"{out}/*", "--model", str(model)]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(model)
    assert "unchanged" in captured.err


def test_the_model_is_taken_for_a_recording_that_it_was_not_trained_on_alone(out, model):
    words = ["--out", str(out), "--name", "second"]
    assert execute(["embed", *words, "--model", str(model)]) == 0
    receipts = [store.read_receipt(path) for path in (out / "second" / "embedding.zarr", model)]
    assert receipts[0] is not None
    assert receipts[1] is not None
    assert receipts[0].inputs["train"] == receipts[1].key
    held_out = store.open_store(out / "second" / "embedding.zarr")["held_out"].to_numpy()
    assert 0 < held_out.sum() < len(held_out)


@pytest.mark.slow
def test_a_run_takes_the_model_and_its_result_can_be_made_again(
    prefect_server, out, model, recording, capsys
):
    words = ["run", str(recording), "--out", str(out), "--model", str(model)]
    words += ["--config", str(out.parent / "config.yaml")]
    assert execute(words) == 0
    assert "train: unchanged" in capsys.readouterr().err
    notes = store.open_store(out / "domains" / "result.zarr").attrs["notes"]
    assert "the model was trained on domains, second, with this one among them" in notes
    assert execute(words) == 0
    assert capsys.readouterr().err.count("unchanged") == 6
    assert execute(["reproduce", str(out / "domains")]) == 0
    captured = capsys.readouterr()
    assert "identical" in captured.out
    assert "the model both was trained on other recordings" in captured.err
    words = ["--out", str(out), "--model", str(model)]
    assert execute(["embed", *words, "--name", "second"]) == 0
    capsys.readouterr()
    words = ["reprocess", "second", *words]
    assert execute([*words, "--config", str(out.parent / "config.yaml"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["made"] == ["analyse", "report"]


def test_what_does_not_fit_is_refused_in_one_line(out, model, capsys):
    other = shutil.copytree(out / "second", out.parent / "other" / "second").parent
    shutil.rmtree(other / "second" / "model", ignore_errors=True)
    words = ["--out", str(other)]
    assert execute(["describe", *words, "--set", "describe.patches.window=20"]) == 0
    capsys.readouterr()

    def refused(*command: str) -> str:
        assert execute(list(command)) != 0
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.strip().splitlines()
        return line

    assert "pixels, the model takes 3 of 16 × 16" in refused("embed", *words, "--model", str(model))
    assert not (other / "second" / "model").exists()
    assert "holds no finished model" in refused("embed", *words, "--model", str(other))
    both = [str(out / "domains"), str(other / "second"), "--model", str(other / "m")]
    assert "one model takes one kind" in refused("train", *both)
    twice = [str(out / "domains"), str(undisturbed_copy(out)), "--model", str(other / "m")]
    assert "already given; name each once" in refused("train", *twice)
    assert "holds no descriptors.zarr" in refused("train", "nowhere", "--model", str(other / "m"))
    assert "RECORDING… and --model DIR" in refused("train", "--model", str(other / "m"))
    assert not (other / "m").exists()


def undisturbed_copy(out: Path) -> Path:
    """A recording's patches under another name."""
    target = out.parent / "copy" / "descriptors.zarr"
    shutil.copytree(out / "domains" / "descriptors.zarr", target)
    return target.parent
