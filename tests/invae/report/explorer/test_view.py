"""The interactive view under real events of mouse, fingers and keys, opened from disk under the page's own policy."""

import base64
import io
import math
import time

import numpy as np
import pytest
from PIL import Image

from docs.browser import Page
from invae import dims
from invae.analysis.decoding import decoder_of, latents_of
from invae.results import open_result
from invae.storage import store
from tests.invae.report.explorer.conftest import opened, write_page

KEY_CODES = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "Escape": 27, "Enter": 13}


def circle(page: Page, selector: str, *, radius: float, middle: tuple[float, float] = (0.5, 0.5)):
    """Places around a circle in an element."""
    turns = np.linspace(0, 2 * math.pi, 25)
    across, down = middle
    return [
        page.at(selector, across + radius * math.cos(t), down + radius * math.sin(t)) for t in turns
    ]


def status(page: Page) -> str:
    return page.evaluate("document.querySelector('#x-status').textContent")


def n_selected(page: Page) -> int:
    words = status(page)
    return 0 if "none selected" in words else int(words.split()[0])


def values(page: Page) -> dict[str, str]:
    """The list of values beside the views."""
    pairs = page.evaluate(
        "[...document.querySelectorAll('#x-values div')].map(e => [e.children[0].innerText, e.children[1].innerText])"
    )
    return dict(pairs)


def point_at_a_site(page: Page) -> int:
    """Move over the image until a site is below the pointer; returns its number."""
    for down in np.linspace(0.1, 0.9, 30):
        for across in np.linspace(0.1, 0.9, 30):
            page.mouse("mouseMoved", page.at("#x-image", across, down))
            if (site := values(page)["site"]).isdigit():
                page.settle()
                return int(site)
    raise AssertionError("there is no site on the image")


def box_of(page: Page, name: str) -> np.ndarray:
    """Grey values (y, x, 0 to 1) of a small picture; NaN where it is transparent."""
    picture = page.evaluate(f"document.querySelector('{name}').toDataURL()").split(",")[1]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA"), float)
    return np.where(pixels[..., 3] > 0, pixels[..., 0] / 255, np.nan)


def key(page: Page, name: str) -> None:
    page.key(name, code=KEY_CODES.get(name, 0))


def changed(page: Page, selector: str, before) -> bool:
    return page.pixels(selector).tobytes() != before.tobytes()


def test_pointing_at_a_site_shows_its_values_and_the_patch_that_the_model_read(walls, small_run):
    site = point_at_a_site(walls)
    shown = values(walls)
    result = open_result(small_run.store("analyse"))
    sites = result[""].load()
    assert shown["x, y"].endswith(" nm")
    assert float(shown["content 1"].replace("−", "-")) == pytest.approx(
        float(sites["content"][site, 0]), abs=0.01
    )
    degrees = float(shown["inferred angle"].rstrip("°").replace("−", "-"))
    turn = math.degrees(float(sites["angle"][site])) - degrees
    assert abs((turn + 180) % 360 - 180) < 1
    patch = store.open_store(small_run.store("describe"))["patch"]
    channel = int(result["explorer"].attrs["channel_index"])
    low, high = _ends(result)
    expected = (patch[site, channel].to_numpy() - low) / (high - low)
    difference = box_of(walls, "#x-patch") - expected.clip(0, 1)
    assert np.sqrt(np.nanmean(difference**2)) < 0.05


def test_the_reconstruction_in_the_page_is_that_of_the_model(walls, small_run):
    site = point_at_a_site(walls)
    result = open_result(small_run.store("analyse"))
    part = result[""].load().isel({dims.SITE: [site]})
    decode = decoder_of(small_run.store("train"))
    content = part["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    exact = decode(content, latents_of(part))[0, result["explorer"].attrs["channel_index"]]
    low, high = _ends(result)
    difference = box_of(walls, "#x-reconstruction") - ((exact - low) / (high - low)).clip(0, 1)
    assert np.isfinite(difference).mean() > 0.5
    assert np.sqrt(np.nanmean(difference**2)) < 0.02


def _ends(result) -> tuple[float, float]:
    from invae.report import style

    channel = int(result["explorer"].attrs["channel_index"])
    return style.limits(result["examples"]["patch"].isel(channel=channel).to_numpy())


def test_a_lasso_in_the_plane_is_seen_on_the_image_and_the_other_way_round(walls, small_run):
    n_sites = open_result(small_run.store("analyse"))[""].sizes["site"]
    before = walls.pixels("#x-image")
    walls.drag(circle(walls, "#x-plane", radius=0.25))
    in_plane = n_selected(walls)
    assert 0 < in_plane < n_sites
    assert changed(walls, "#x-image", before)
    before = walls.pixels("#x-plane")
    walls.drag(circle(walls, "#x-image", radius=0.45))
    assert 0 < n_selected(walls) != in_plane
    assert changed(walls, "#x-plane", before)
    walls.press(walls.at("#x-clear"))
    assert n_selected(walls) == 0


def test_a_lasso_that_ends_where_it_began_is_no_click(walls):
    around = circle(walls, "#x-plane", radius=0.3)
    walls.drag([*around, around[0]])
    assert n_selected(walls) > 0


def test_a_click_chooses_a_site_and_shows_its_place_in_both_views(walls):
    point_at_a_site(walls)
    x, y = walls.place
    walls.press((x, y))
    walls.mouse("mouseMoved", walls.at("#x-status"))
    walls.settle()
    assert values(walls)["site"].isdigit()
    dark = [np.array(walls.pixels(name)).min(axis=2) < 60 for name in ("#x-image", "#x-plane")]
    assert all(ring.sum() > 10 for ring in dark)


def test_the_slider_reaches_every_frame_by_mouse_and_keys(walls):
    words = "document.querySelector('#x-frame-words').textContent"
    before = walls.pixels("#x-image")
    walls.press(walls.at("#x-frame", 0.98))
    assert "(4 of 4" in walls.evaluate(words)
    assert changed(walls, "#x-image", before)
    for number in (3, 2, 1):
        key(walls, "ArrowLeft")
        assert f"({number} of 4" in walls.evaluate(words)


def test_contrast_and_zoom_change_the_image_and_can_be_undone(walls):
    first = walls.pixels("#x-image")
    walls.press(walls.at("#x-black", 0.5))
    assert changed(walls, "#x-image", first)
    walls.press(walls.at("#x-black", 0.02))
    walls.press(walls.at("#x-image"))
    walls.mouse("mouseWheel", walls.at("#x-image"), deltaX=0, deltaY=-400)
    walls.settle()
    assert changed(walls, "#x-image", first)
    walls.press(walls.at("#x-whole"))
    key(walls, "Tab")
    walls.press(walls.at("#x-clear"))
    walls.mouse("mouseMoved", walls.at("#x-status"))
    walls.settle()
    difference = np.array(walls.pixels("#x-image"), float) - np.array(first, float)
    assert np.abs(difference).mean() < 6


def test_dragging_through_the_plane_decodes_on_the_way(walls):
    walls.press(walls.at("#x-mode-walk"))
    walls.drag([walls.at("#x-plane", 0.2, 0.3), walls.at("#x-plane", 0.3, 0.3)])
    first = box_of(walls, "#x-decoded")
    assert np.isfinite(first).sum() > 50
    walls.drag([walls.at("#x-plane", 0.3, 0.3), walls.at("#x-plane", 0.8, 0.7)])
    second = box_of(walls, "#x-decoded")
    assert not np.array_equal(np.nan_to_num(first), np.nan_to_num(second))
    key(walls, "ArrowLeft")
    place = values(walls)["content 1"]
    key(walls, "ArrowLeft")
    assert values(walls)["content 1"] != place


def test_keys_go_from_site_to_site_and_select(walls):
    walls.evaluate("document.querySelector('#x-image').focus()")
    key(walls, "ArrowRight")
    first = values(walls)["site"]
    key(walls, "Enter")
    key(walls, "ArrowDown")
    key(walls, "ArrowRight")
    assert values(walls)["site"] != first
    key(walls, "Enter")
    assert n_selected(walls) == 2
    assert "cluster" in walls.evaluate("document.querySelector('.spoken').textContent")
    key(walls, "Escape")
    assert n_selected(walls) == 0


def test_the_selection_is_saved_as_a_table(walls):
    walls.drag(circle(walls, "#x-plane", radius=0.25))
    count = n_selected(walls)
    walls.evaluate(
        "URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text }); return 'blob:none' }"
    )
    walls.evaluate("HTMLAnchorElement.prototype.click = function () { window.file = this.download }")  # fmt: skip
    walls.press(walls.at("#x-save"))
    walls.wait_until("window.saved")
    lines = walls.evaluate("window.saved").splitlines()
    assert walls.evaluate("window.file") == "selection.csv"
    assert len(lines) == count + 1
    assert lines[0].startswith('site,frame,"x [px]","y [px]","content 1"')
    assert '"inferred angle [degree]"' in lines[0]


def test_a_finger_scrolls_until_a_mode_is_armed(walls):
    style = "getComputedStyle(document.querySelector('#x-plane')).touchAction"
    assert walls.evaluate(style) == "none"
    walls.press(walls.at("#x-mode-lasso"))
    assert walls.evaluate(style) == "pan-y"
    walls.press(walls.at("#x-mode-lasso"))
    walls.touch(circle(walls, "#x-plane", radius=0.25))
    assert n_selected(walls) > 0


def test_the_policy_stops_every_other_script_and_address(chromium, walls_page):
    page = opened(chromium, walls_page)
    # In a timer: the policy does not apply to what the debugger itself evaluates.
    page.evaluate(
        """(() => { window.ran = 0; window.stopped = [];
        addEventListener('securitypolicyviolation', e => stopped.push(e.effectiveDirective));
        setTimeout(() => {
            const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);
            const box = document.createElement('div'); box.innerHTML = '<img src=x onerror="window.ran = 2">'; document.body.append(box);
            try { new Function('window.ran = 3')() } catch {}
            const style = document.createElement('style'); style.textContent = 'body { display: none }'; document.body.append(style);
            fetch('https://example.invalid/').catch(() => 0);
        }, 0) })()"""
    )
    page.wait_until("window.stopped.length >= 5")
    time.sleep(0.2)
    assert page.evaluate("window.ran") == 0
    assert page.evaluate("getComputedStyle(document.body).display") != "none"
    stopped = set(page.evaluate("window.stopped"))
    assert stopped >= {"script-src", "script-src-elem", "style-src-elem", "connect-src"}


def test_print_shows_both_views_and_no_buttons(walls):
    assert walls.printed().startswith(b"%PDF")
    walls.medium("print")
    try:
        shown = walls.evaluate(
            "['#x-image', '#x-plane', '#x-save', '.side'].map(s => document.querySelector(s).getClientRects().length)"
        )
    finally:
        walls.medium("")
    assert shown == [1, 1, 0, 0]


HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'>\u2028\u202e"


def test_names_in_a_recording_are_text_in_the_view(chromium, card_run, tmp_path):
    result = {name: group.load() for name, group in open_result(card_run.store("analyse")).items()}
    names = [f"{number} {HOSTILE}" for number in range(result["classes"].sizes["class"])]
    result["classes"] = result["classes"].assign_coords(class_name=("class", names))
    result["explorer"] = result["explorer"].assign_coords(class_name=("class", names))
    page = opened(chromium, write_page(result, card_run, tmp_path / "hostile.html"))
    assert page.evaluate("window.ran") is None
    assert "0 </script><scrip" in page.evaluate("document.querySelector('.legend').textContent")
    assert page.messages() == []


@pytest.mark.parametrize("name", ["atom_run", "dense_run", "scan_run", "card_run", "conditional_run", "single_run"])  # fmt: skip
def test_every_kind_of_recording_shows_patches_and_reconstructions(
    name, chromium, request, tmp_path
):
    run = request.getfixturevalue(name)
    result = open_result(run.store("analyse"))
    page = opened(chromium, write_page(result, run, tmp_path / f"{name}.html"))
    page.evaluate("document.querySelector('#x-plane').focus()")
    key(page, "ArrowRight")
    assert np.isfinite(box_of(page, "#x-patch")).sum() > 20
    assert np.isfinite(box_of(page, "#x-reconstruction")).sum() > 20
    assert values(page)["site"].isdigit()
    has_image = page.evaluate("document.querySelector('#x-image') !== null")
    assert has_image == (name not in ("card_run", "conditional_run"))
    assert page.messages() == []
