"""The page and its figures."""

import io
import re
import shutil
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from invae import results
from invae.config import ReportConfig
from invae.errors import ConfigError, StoreError
from invae.report import as_bytes, style
from invae.report.associations import association
from invae.report.classes import bic
from invae.report.contents import figures_of
from invae.report.domains.frames import signals
from invae.report.figure import LeftOut
from invae.storage import manifest, store
from tests.invae.report.read_page import Page


@pytest.fixture(scope="module")
def made(small_run, tmp_path_factory):
    return small_run.report(tmp_path_factory.mktemp("made") / "report", title="PZT & walls <2 µm>")


@pytest.fixture(scope="module")
def page(made):
    return Page((made / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn(small_run):
    """All figures that there are for a series, and the reasons of those that its few frames do not allow."""
    groups, config = results.open_result(small_run.store("analyse")), ReportConfig(dpi=50)
    drawings, reasons = [], []
    with style.applied(50):
        for draw in (draw for draws in figures_of(groups).values() for draw in draws):
            try:
                drawings.append(draw(groups, config))
            except LeftOut as reason:
                reasons.append(str(reason))
    return drawings, reasons


@pytest.fixture(scope="module")
def drawings(drawn):
    return drawn[0]


def test_figures_that_a_short_series_does_not_allow_are_named_on_the_page(drawn, page):
    assert {reason.split(":")[0] for reason in drawn[1]} == {
        "Forces on walls",
        "Force and velocity over time",
    }
    for reason in drawn[1]:
        assert reason in page.text


def test_the_page_loads_nothing_and_runs_only_its_own_script(made, page):
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object")]
    assert page.runs_only_its_own_script
    assert not page.of("style")
    sources = page.of("src")
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(link.startswith("#") for link in page.of("href"))
    assert "default-src 'none'" in " ".join(page.of("content"))
    assert "url(" not in (made / "index.html").read_text(encoding="utf-8").split("</style>")[0]


def test_every_figure_is_on_the_page_with_its_words(page, drawings):
    for drawing in drawings:
        assert drawing.title in page.text
        assert drawing.how_to_read in page.text
        assert drawing.numbers in page.text
    assert len(page.of("src")) == len(drawings)


def test_every_figure_has_words_and_a_file(made, drawings):
    for drawing in drawings:
        assert len(drawing.how_to_read) > 60, drawing.name
        assert drawing.how_to_read.endswith("."), drawing.name
        assert (made / "figures" / f"{drawing.name}.png").stat().st_size > 1000
    names = [drawing.name for drawing in drawings]
    assert len(set(names)) == len(names)


def test_no_number_on_an_axis_is_left_as_a_formula(drawings):
    for drawing in drawings:
        drawing.figure.savefig(io.BytesIO(), dpi=30)
        axes = [one for axis in drawing.figure.axes for one in (axis.xaxis, axis.yaxis)]
        labels = [label.get_text() for axis in axes for label in axis.get_ticklabels(which="both")]
        assert not [text for text in labels if "$" in text], drawing.name


def test_every_picture_says_what_it_is_to_those_who_cannot_see_it(page):
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert all(len(attrs["alt"] or "") > 10 for attrs in pictures)


def test_links_inside_the_page_arrive(page):
    targets = set(page.of("id"))
    assert {link[1:] for link in page.of("href")} <= targets


def test_numbers_notes_and_provenance_are_on_the_page(small_run, page):
    made = store.read_receipt(small_run.store("analyse"))
    assert made is not None
    for text in (made.sources[0].sha256, made.config_hash, made.code, made.versions["numpy"]):
        assert text in page.text
    assert "PZT & walls <2 µm>" in page.text
    sites = results.open_result(small_run.store("analyse"))[""]
    assert all(note in page.text for note in sites.attrs["notes"])
    assert "ELBO, held-out" in page.text
    assert "Only differences between sites of one class are meaningful" in page.text


def test_one_frame_leaves_out_what_needs_two_and_says_so(single_run, tmp_path):
    report = single_run.report(tmp_path / "report")
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert "Drift: only one frame; drift needs two" in page.text
    assert "Where walls stay: only one frame; changes need two" in page.text
    assert not (report / "figures" / "drift.png").exists()
    assert (report / "figures" / "content.png").exists()


HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'& $x^ 漢"


def test_what_comes_with_a_recording_cannot_become_a_part_of_the_page(small_run, tmp_path):
    result = shutil.copytree(small_run.store("analyse"), tmp_path / "result.zarr")
    root = zarr.open_group(result, mode="r+")
    receipt: Any = root.attrs["receipt"]
    receipt |= {"recording": HOSTILE, "config": {"name": HOSTILE, HOSTILE: HOSTILE}}
    receipt["sources"] = [{"name": HOSTILE, "sha256": HOSTILE, "n_bytes": 3}]
    root.attrs.update(
        {"notes": [HOSTILE], "modality": HOSTILE, "channels": [HOSTILE], "receipt": receipt}
    )
    channel = xr.Dataset(coords={"channel": [HOSTILE, "b", "c"]})
    for group in ("traversal", "examples", "clusters"):
        store.write_dataset(result, channel, group=group)
    maps = zarr.open_group(result, path="maps", mode="r+")
    maps["amplitude"].attrs["units"] = HOSTILE
    manifest.write(result)
    report = small_run.report(tmp_path / "report", result=result)
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert page.runs_only_its_own_script
    assert not [tag for tag, attrs in page.tags if "onerror" in attrs]
    assert all(source.startswith("data:") for source in page.of("src"))


def test_the_same_result_gives_the_same_page_and_other_formats(small_run, made, tmp_path):
    again = small_run.report(
        tmp_path / "report", title="PZT & walls <2 µm>", formats=("svg", "png")
    )
    for file in sorted((made / "figures").iterdir()):
        assert (again / "figures" / file.name).read_bytes() == file.read_bytes(), file.name
    assert (again / "figures" / "frames.svg").read_text().startswith("<?xml")
    pages = [
        re.sub(r"20\d\d-[^<]*\+00:00", "", (r / "index.html").read_text(encoding="utf-8"))
        for r in (made, again)
    ]
    assert pages[0] == pages[1]


def test_a_colour_map_that_does_not_exist_is_refused_before_anything_is_written(
    small_run, tmp_path
):
    with pytest.raises(
        ConfigError, match=r"report.colormap 'viridiss' does not exist; viridis does"
    ):
        small_run.report(tmp_path / "report", colormap="viridiss")
    assert not list(tmp_path.iterdir())


def test_a_portable_document_is_written_without_a_date(small_run):
    groups = results.open_result(small_run.store("analyse"))
    with style.applied(50):
        content = as_bytes(signals(groups, ReportConfig()).figure, "pdf")
    assert content.startswith(b"%PDF")
    assert b"CreationDate" not in content


def test_a_missing_result_is_refused(small_run, tmp_path):
    with pytest.raises(StoreError, match="missing or unfinished"):
        small_run.report(tmp_path / "report", result=tmp_path / "result.zarr")


def test_a_family_without_angle_leaves_its_map_out(small_run):
    groups = results.open_result(small_run.store("analyse"))
    groups[""] = groups[""].drop_vars("angle")
    from invae.report.latents import angle

    with pytest.raises(LeftOut, match="Angle on the image: the model has no angle"):
        angle(groups, ReportConfig())


def test_the_chosen_number_of_classes_is_the_one_that_was_used(small_run):
    groups = results.open_result(small_run.store("analyse"))
    used = groups[""].sizes["cluster_name"]
    tried = groups["baseline"].sizes["n_classes"]
    falling = groups["baseline"]["bic"].load() * 0 - np.arange(tried)
    baseline = groups["baseline"].assign(bic=falling)
    with style.applied(50):
        drawing = bic({**groups, "baseline": baseline}, ReportConfig())
    assert drawing.numbers.startswith(style.count(used, "cluster"))
    assert used == tried or f"{tried} has a lower BIC" in drawing.numbers


def test_the_colour_circle_closes_and_its_colours_stay_apart():
    colours = style.cyclic()(np.linspace(0, 1, 257)[:-1])[:, :3]
    steps = np.linalg.norm(np.diff(colours, axis=0, append=colours[:1]), axis=1)
    assert steps[-1] <= 2 * np.median(steps)
    quarters = colours[::64]
    apart = np.linalg.norm(quarters[:, None] - quarters[None], axis=-1)
    assert apart[~np.eye(4, dtype=bool)].min() > 0.25


@pytest.mark.parametrize(("most", "length"), [(4.9, 2.0), (50.0, 50.0), (0.3, 0.2), (999.0, 500.0)])
def test_scale_bars_have_round_lengths(most, length):
    assert style.round_length(most) == pytest.approx(length)


def test_units_get_prefixes_that_keep_numbers_short():
    values, units = style.readable(np.array([2.5e-10, 1e-11]), "m")
    assert units == "pm"
    np.testing.assert_allclose(values, [250, 10])
    assert style.readable(np.array([3.0]), "rad")[1] == "rad"
    assert style.readable(np.zeros(2), "m")[1] == "m"


def test_an_r2_without_a_lower_end_does_not_fill_the_picture(small_run):
    """A descriptor that hardly varies among the sites of a resampling makes it any negative number."""
    groups = results.open_result(small_run.store("analyse"))
    found = groups["association"].load()
    low = xr.full_like(found["r2"], -1e180)
    groups["association"] = found.assign(r2=found["r2"] * 0 - 0.5, r2_low=low, r2_high=low * 0 + 1)
    with style.applied(50):
        drawing = association(groups, ReportConfig())
        texts = [text.get_text() for text in drawing.figure.axes[1].texts]
    assert texts
    assert set(texts) <= {"−0.50  [< −10, 1.00]", "–"}
