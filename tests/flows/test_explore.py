"""The live page: only its own page with its token is answered, and what it answers is that of the model."""

import base64
import io
import json
import math
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from docs import browser
from flows.cli.commands.explore import _folder_of
from flows.exploring import server
from flows.exploring.session import Session, version_of
from flows.exploring.train_labels import family_with_labels
from invae.analysis.decoding import decoder_of
from invae.errors import InputError
from invae.report.explorer.detector_question import detector_of, read_mask
from invae.results import open_result
from invae.scans.detector import Disc, Ellipse, Outline, Rectangle, Weights, virtual_image
from invae.storage import store
from tests.invae.conftest import (  # noqa: F401
    scan_run,
    small_run,
)

TOKEN = "a-token"
OWN = {"x-token": TOKEN}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The live page of a folder on a free port; its address."""
    made = server.listening(0)
    port = made.getsockname()[1]
    app = server.application(folder, token=TOKEN, port=port)
    serving = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [made]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        serving.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def folder(scan_run, tmp_path_factory):  # noqa: F811
    """A copy of a finished scan: labels are written into it."""
    return shutil.copytree(scan_run.folder, tmp_path_factory.mktemp("live") / "scan")


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def client(address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def test_the_page_and_its_files_have_a_strict_policy_and_no_secret(client):
    for path, kind in (("/", "text/html"), ("/main.js", "text/javascript"), ("/style.css", "text/css")):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert TOKEN not in answer.text


@pytest.mark.parametrize("name", ["state", "data", "detector", "label", "train", "classes"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-token": "another"},
        {"x-token": TOKEN, "origin": "http://a.example"},
        {"x-token": TOKEN, "host": "a.example"},
    ],
    ids=["no token", "another token", "another origin", "another name"],
)
def test_questions_of_others_are_refused(client, name, headers):
    answer = client.post(f"/{name}", headers=headers, json={})
    assert answer.status_code == 403
    assert "refused" in answer.text


def test_a_socket_without_the_token_is_closed(address):
    with connect(address.replace("http", "ws") + "decode") as socket:
        socket.send("another")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == server.REFUSED


def test_a_place_is_decoded_by_the_model(client, address, folder):
    data = client.post("/data", headers=OWN, json={}).json()
    result = open_result(folder / "result.zarr")
    content = np.median(result[""]["content"].transpose("site", "latent").to_numpy(), axis=0)
    place = [0.3, -0.2]
    content[data["plane"]] = place
    exact = decoder_of(folder / "model")(content[None].astype(np.float32))[0, 0]
    with connect(address.replace("http", "ws") + "decode") as socket:
        socket.send(TOKEN)
        for question in ({"place": ["x", 1], "member": 0}, {"place": place, "member": 9}, [], {}):
            socket.send(json.dumps(question))
            assert socket.recv(10) == b""
        socket.send(json.dumps({"place": place, "member": 0}))
        answer = socket.recv(10)
        assert isinstance(answer, bytes)
        decoded = np.frombuffer(answer, "<f4")
    np.testing.assert_allclose(decoded, exact.ravel(), rtol=1e-5)


def test_a_detector_sums_the_patterns_below_its_ring(folder):
    scan = store.open_store(folder / "recording.zarr")
    patterns = scan["pattern"].to_numpy().astype(float)
    ring = Disc(y=7.5, x=7.0, inner=2.0, outer=5.0)
    y, x = np.indices(patterns.shape[2:])
    distance = np.hypot(y - 7.5, x - 7.0)
    expected = patterns[:, :, (distance >= 2) & (distance < 5)].sum(axis=-1)
    np.testing.assert_allclose(virtual_image(scan, ring), expected, rtol=1e-6)
    with pytest.raises(InputError, match="has no pixels"):
        virtual_image(scan, Disc(0, 0, 50, 60))


def square(first: int, last: int) -> np.ndarray:
    """Weights of 6 × 8 pixels that are 1 in rows and columns from the first to the last one."""
    mask = np.zeros((6, 8), bool)
    mask[first : last + 1, first : last + 1] = True
    return mask


@pytest.mark.parametrize(
    ("shape", "mask"),
    [
        (Rectangle((1, 1), (3, 3)), square(1, 3)),
        (Rectangle((3.4, 3.4), (0.6, 0.6)), square(1, 3)),
        (Outline([(0.5, 0.5), (0.5, 4.5), (4.5, 4.5), (4.5, 0.5)]), square(1, 4)),
        (Ellipse((0.5, 0.5), (2.5, 2.5)), square(1, 2)),
        (Weights(square(2, 5)), square(2, 5)),
        (Rectangle((-9, -9), (-2, -2)), square(7, 7)),
    ],
)
def test_the_pixels_of_a_shape_are_those_inside(shape, mask):
    np.testing.assert_array_equal(shape.mask(6, 8), mask)


def test_an_ellipse_has_the_area_of_its_axes():
    mask = Ellipse((10, 20), (70, 160)).mask(100, 200)
    assert mask.sum() == pytest.approx(math.pi / 4 * 60 * 140, rel=0.02)
    assert not Ellipse((3, 3), (3, 3)).mask(2, 2).any()


def test_weights_may_be_negative_and_must_fit(folder):
    scan = store.open_store(folder / "recording.zarr")
    patterns = scan["pattern"].to_numpy().astype(float)
    weights = np.random.default_rng(0).normal(size=patterns.shape[2:])
    expected = (patterns * weights).sum(axis=(2, 3))
    np.testing.assert_allclose(virtual_image(scan, Weights(weights)), expected, rtol=1e-4, atol=1e-2)  # fmt: skip
    with pytest.raises(InputError, match="the mask has 3 × 4 pixels"):
        virtual_image(scan, Weights(weights[:3, :4]))
    with pytest.raises(InputError, match="not finite"):
        virtual_image(scan, Weights(weights * np.nan))


def as_file(values: np.ndarray, kind: str) -> bytes:
    """A mask as the bytes of a file."""
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, values)
    else:
        Image.fromarray((255 * values).astype(np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["npy", "png"])
def test_a_mask_is_read_from_a_file(kind):
    content = base64.b64encode(as_file(square(1, 3), kind)).decode()
    detector = detector_of({"shape": "file", "content": content})
    np.testing.assert_array_equal(detector.mask(6, 8), square(1, 3))


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", as_file(np.zeros(3), "npy"), as_file(square(1, 3), "png")[:60], as_file(np.array([[{}]]), "npy")],
    ids=["empty", "another kind", "one dimension", "cut off", "objects"],
)  # fmt: skip
def test_a_file_that_is_no_mask_is_refused(content):
    with pytest.raises(InputError, match="mask"):
        read_mask(content)


def test_any_detector_is_an_image_of_the_page(client):
    corners = [[2, 2], [9, 12]]
    questions = [
        {"shape": "rectangle", "corners": corners},
        {"shape": "ellipse", "corners": corners},
        {"shape": "outline", "corners": [*corners, [2, 12]]},
    ]
    for question in questions:
        answer = client.post("/detector", headers=OWN, json=question).json()
        assert (answer["h"], answer["w"]) == (11, 13)
        assert answer["title"].startswith(f"detector: {question['shape']}")
    for wrong in (
        {"shape": "outline", "corners": corners},
        {"shape": "star", "corners": corners},
        {"shape": "rectangle", "corners": [[0, 1], [float("1e999"), 2]]},
        {"shape": "rectangle", "corners": "everywhere"},
        {"shape": "rectangle", "corners": [[-9, -9], [-5, -5]]},
        {"shape": "file", "content": "no base64"},
        {"shape": "file"},
    ):
        body = json.dumps(wrong)
        assert "error" in client.post("/detector", headers=OWN, content=body).json()


def test_a_detector_is_an_image_of_the_page(client):
    ring = {"y": 7.5, "x": 7.5, "inner": 0, "outer": 6}
    answer = client.post("/detector", headers=OWN, json=ring).json()
    assert (answer["h"], answer["w"]) == (11, 13)
    for wrong in ({}, {**ring, "y": "there"}, []):
        assert "error" in client.post("/detector", headers=OWN, json=wrong).json()


def test_labels_are_saved_and_a_site_has_one_of_them(client, folder):
    def label(name, sites):
        return client.post("/label", headers=OWN, json={"name": name, "sites": sites}).json()

    assert label("a", [0, 1, 2]) == {"a": [0, 1, 2]}
    assert label("b", [2, 3]) == {"a": [0, 1], "b": [2, 3]}
    assert json.loads((folder / "labels.json").read_text()) == {"a": [0, 1], "b": [2, 3]}
    assert label("b", []) == {"a": [0, 1]}
    for name, sites in (("", [1]), ("x" * 99, [1]), ("a\x1b", [1]), ("a", [-1]), ("a", [10**6])):
        assert "error" in label(name, sites)
    assert json.loads((folder / "labels.json").read_text()) == {"a": [0, 1]}


def test_the_page_waits_for_a_result_and_follows_it(scan_run, tmp_path):  # noqa: F811
    running = tmp_path / "scan"
    running.mkdir()
    (running / "run.json").write_text("{}")
    with served(running) as address, httpx.Client(base_url=address, timeout=60) as client:
        assert "not finished yet" in client.post("/data", headers=OWN, json={}).json()["error"]
        assert client.post("/state", headers=OWN, json={}).json()["version"] == ""
        for name in ("recording.zarr", "model", "result.zarr"):
            shutil.copytree(scan_run.folder / name, running / name)
        version = client.post("/state", headers=OWN, json={}).json()["version"]
        assert version == version_of(scan_run.folder) != ""
        assert client.post("/data", headers=OWN, json={}).json()["version"] == version


@pytest.mark.parametrize(
    ("family", "labelled"),
    [("rVAE", "ssrVAE"), ("jrVAE", "ssrVAE"), ("rtVAE", "ssrtVAE"), ("VAE", "ssVAE"), ("ssrVAE", "ssrVAE"), ("cVAE", "ssVAE")],
)  # fmt: skip
def test_the_family_with_labels_has_the_same_poses(family, labelled):
    assert family_with_labels(family) == labelled


def test_a_folder_without_a_recording_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no recording"):
        _folder_of(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        _folder_of(tmp_path / "nothing")


def test_a_port_in_use_is_refused():
    with server.listening(0) as taken:
        taken.listen()
        with pytest.raises(InputError, match="choose another --port"):
            server.listening(taken.getsockname()[1])


@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed on this machine")
def test_a_browser_decodes_while_dragging_and_labels_by_lasso(address, folder):
    with browser.page() as page:
        page.watch()
        page.size(1200, 1400)
        page.open(f"{address}#{TOKEN}")
        page.wait_until("document.querySelector('#explorer')?.dataset.ready === '1'")
        page.press(page.at("#x-mode-walk"))
        picture = "document.querySelector('#x-decoded').toDataURL()"
        before = page.evaluate(picture)
        page.drag([page.at("#x-plane", 0.5, 0.5), page.at("#x-plane", 0.6, 0.4)])
        page.wait_until(f"{picture} !== {json.dumps(before)}")
        page.press(page.at("#x-mode-lasso"))
        turns = np.linspace(0, 2 * math.pi, 20)
        page.drag([page.at("#x-plane", 0.5 + 0.45 * math.cos(t), 0.5 + 0.45 * math.sin(t)) for t in turns])  # fmt: skip
        page.evaluate("document.querySelector('#x-label').value = '<b>lasso</b>'")
        page.press(page.at("#x-label-save"))
        page.wait_until("document.querySelector('#x-labels').textContent.includes('<b>lasso</b>')")
        page.press(page.at("#x-outer", 0.8))
        page.wait_until("document.querySelector('#x-channel').options.length === 6")
        assert page.messages() == []
        assert all(one.startswith((address, "ws:")) for one in page.requests())
    assert len(json.loads((folder / "labels.json").read_text())["<b>lasso</b>"]) > 2


@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed on this machine")
def test_a_browser_draws_detectors_and_sends_files(address, folder, tmp_path):
    with browser.page() as page:
        page.watch()
        page.size(1200, 1400)
        page.open(f"{address}#{TOKEN}")
        page.wait_until("document.querySelector('#x-detector')")
        titles = "[...document.querySelector('#x-channel').options].map(one => one.text)"

        def choose(shape: str) -> None:
            page.evaluate(
                f"(() => {{ const s = document.querySelector('#x-shape'); s.value = '{shape}';"
                "s.dispatchEvent(new Event('change')); })()"
            )

        for shape in ("rectangle", "ellipse", "outline"):
            choose(shape)
            path = [(0.2, 0.2), (0.5, 0.2), (0.8, 0.7)]
            page.drag([page.at("#x-detector", *place) for place in path])
            page.wait_until(f"{titles}.at(-1).startsWith('detector: {shape}')")
        drawn = np.asarray(page.pixels("#x-detector")).astype(int)
        orange = (drawn[..., 0] > 180) & (drawn[..., 2] < 60)
        assert orange.sum() > 100, "the outline is drawn"
        choose("file")
        side = store.open_store(folder / "recording.zarr")["pattern"].shape[-1]
        np.save(tmp_path / "mask.npy", np.eye(side))
        page.files("#x-detector-file", [tmp_path / "mask.npy"])
        page.wait_until(f"{titles}.at(-1) === 'detector: mask of {side} px'")
        np.save(tmp_path / "small.npy", np.eye(3))
        page.files("#x-detector-file", [tmp_path / "small.npy"])
        page.wait_for("the mask has 3 × 3 pixels")
        assert [one for one in page.messages() if "409" not in one] == []


@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed on this machine")
def test_a_browser_without_the_token_sees_nothing_of_the_result(address):
    with browser.page() as page:
        page.open(address)
        page.wait_for("no valid token")
        assert page.evaluate("document.querySelector('#explorer').children.length") == 0


def test_a_session_of_a_folder_without_scan_has_no_detector(small_run):  # noqa: F811
    session = Session(small_run.folder, version_of(small_run.folder))
    assert session.data["live"]["detector"] is None
