"""The studio's brush in a real browser: a picture is chosen, painted on, sent, and shown again."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from tests.e2e.server import serving
from tests.e2e.studio_browser import browsers, complaints, press, until
from tests.e2e.studio_stub import stubbed
from tests.e2e.test_studio_views import AXE, faults
from tests.unit.serve.sourced import make

pytestmark = pytest.mark.slow
server = stubbed
webdriver = pytest.importorskip("selenium.webdriver")
pointers = pytest.importorskip("selenium.webdriver.common.actions.pointer_input")
ROUTE = "/v1/generations"
KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015", "shift": "\ue008"}


@pytest.fixture
def photo(tmp_path):
    """A file of 60 x 40, of which a model of squares uses the middle 40 x 40."""
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows * 5, columns * 4, rows + columns], -1).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def choose(page, model, photo):
    """Pick a model, and give it a picture."""
    page.execute_script("location.hash = arguments[0]", f"#/make?model={model}")
    until(page, "return document.querySelector(`input[value=${arguments[0]}]`)?.checked", model)
    until(page, "return document.querySelector('.original .drop')")
    page.find_element("css selector", ".original input[type=file]").send_keys(str(photo))
    until(page, "return document.querySelector('.original .board canvas')")


def paint(page, *places, touch=False):
    """A stroke through these places, as shares of the picture."""
    over = page.find_element("css selector", "canvas.over")
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", over)
    size = over.size
    pointer = pointers.PointerInput("touch" if touch else "mouse", "p")
    act = webdriver.ActionChains(page, duration=20, devices=[pointer])
    first, *rest = [
        (round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])) for x, y in places
    ]
    act.move_to_element_with_offset(over, *first).click_and_hold()
    for place in rest:
        act.move_to_element_with_offset(over, *place)
    act.release().perform()


def decoded(url, mode="RGB"):
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert(mode))


def made(page, server, count=1):
    """Press the button, wait for the results; what was sent."""
    before = len(server.bodies(ROUTE))
    press(page, ".make .go")
    until(page, "return document.querySelector('.make .sheet button.tile')")
    sent = server.bodies(ROUTE)
    assert len(sent) == before + count
    return sent[-1]


def share(page):
    """Of the picture, in hundredths, that the brush says is painted."""
    label = page.find_element("css selector", "canvas.over").get_attribute("aria-label")
    return int(label.split()[-3])


def test_a_hole_is_painted_and_sent_with_the_part_that_is_used(server, open_page, photo):
    page = open_page(view="#/make")
    choose(page, "holes", photo)
    paint(page, (0.2, 0.5), (0.8, 0.5))
    body = made(page, server)
    assert body["keep"] is True and "strength" not in body
    whole = np.asarray(Image.open(photo).convert("RGB"))
    assert np.array_equal(decoded(body["source"]), whole[:, 10:50])
    clear = decoded(body["mask"], "RGBA")[..., 3] == 0  # as the model's pictures are: 16 x 16
    assert clear.shape == (16, 16)
    assert clear[7:9, 4:12].all() and not clear[[*range(6), *range(10, 16)]].any()
    assert not clear[:, [0, 1, 14, 15]].any()
    told = "return [...document.querySelectorAll('.beside img')].map(i => i.src)"
    shown = page.execute_script(told)
    assert shown[0] == body["source"] and len(shown) == 1 + body["n"]
    press(page, ".make .sheet button.tile")
    until(page, "return document.querySelectorAll('dialog .twin img').length === 2")
    assert not complaints(page) and not server.missing


def test_strokes_are_undone_erased_and_cleared(server, open_page, photo):
    page = open_page(view="#/make")
    choose(page, "holes", photo)
    tool = "document.querySelectorAll('.brush .tools button')"
    assert share(page) == 0
    disabled = f"return [...{tool}].map(b => b.disabled)"
    assert page.execute_script(disabled) == [False, False, True, True]
    paint(page, (0.1, 0.3), (0.9, 0.3))
    one = share(page)
    paint(page, (0.1, 0.7), (0.9, 0.7))
    two = share(page)
    assert 5 < one < two
    page.execute_script(f"{tool}[1].click()")
    paint(page, (0.1, 0.7), (0.9, 0.7))
    assert share(page) == one
    page.execute_script(f"{tool}[2].click()")
    assert share(page) == two
    page.execute_script(f"{tool}[3].click()")
    assert share(page) == 0
    page.execute_script(f"{tool}[2].click()")  # also clearing can be undone
    assert share(page) == two
    page.execute_script(f"{tool}[3].click()")
    assert "mask" not in (body := made(page, server)) and "keep" not in body
    assert not complaints(page)


def test_a_broader_brush_paints_more(open_page, photo):
    page = open_page(view="#/make")
    choose(page, "holes", photo)
    shares = []
    for size in (4, 40):
        page.execute_script(
            """const box = document.querySelector('.brush input.number');
            box.value = arguments[0]; box.dispatchEvent(new Event('input'));""",
            size,
        )
        paint(page, (0.5, 0.5))
        shares.append(share(page))
        press(page, ".brush .tools button:nth-of-type(3)")
    assert shares[0] < 1 and 10 <= shares[1] <= 14  # a disc of 0.4: 12.6 hundredths


def test_fingers_and_keys_paint_too(server, open_page, photo):
    page = open_page(360, 780, view="#/make")
    choose(page, "holes", photo)
    paint(page, (0.2, 0.2), (0.8, 0.2), touch=True)
    finger = share(page)
    assert finger > 5
    over = page.find_element("css selector", "canvas.over")
    over.send_keys(KEYS["down"] * 2, " ")
    dab = share(page)
    assert finger < dab
    over.send_keys(KEYS["shift"] + KEYS["right"] * 3)
    assert dab < share(page)
    ring = page.find_element("css selector", ".ring")
    assert ring.is_displayed()
    assert not complaints(page)


def test_a_diffusion_model_changes_what_is_painted_as_far_as_it_is_told(server, open_page, photo):
    page = open_page(view="#/make")
    choose(page, "changes", photo)
    strength = "return document.querySelector('.original > .field input.number').value"
    assert page.execute_script(strength) == "0.6"
    body = made(page, server)
    assert body["strength"] == 0.6 and "mask" not in body
    paint(page, (0.5, 0.5))
    assert page.execute_script(strength) == "1"
    body = made(page, server)
    assert body["strength"] == 1 and "mask" in body and "keep" not in body
    page.execute_script(
        """const box = document.querySelector('.original > .field input.number');
        box.value = 0.3; box.dispatchEvent(new Event('input'));"""
    )
    paint(page, (0.2, 0.2))
    assert page.execute_script(strength) == "0.3"
    assert made(page, server)["strength"] == 0.3
    assert not complaints(page)


def test_a_model_that_needs_a_picture_is_not_asked_without(server, open_page, photo):
    page = open_page(view="#/make?model=paints")
    until(page, "return document.querySelector('.original .drop')")
    press(page, ".make .go")
    until(page, "return document.querySelector('.toast.bad')")
    assert not server.bodies(ROUTE)
    choose(page, "paints", photo)
    assert not page.execute_script("return document.querySelector('canvas.over')")
    body = made(page, server)
    assert "mask" not in body and "keep" not in body and "strength" not in body
    page.execute_script("location.hash = '#/explore'")
    until(page, "return document.querySelector('.exploring')")
    ids = "return [...document.querySelectorAll('input[name=model]')].map(i => i.value)"
    assert "paints" not in page.execute_script(ids)


def test_what_was_chosen_and_painted_is_there_again(server, open_page, photo):
    page = open_page(view="#/make")
    choose(page, "holes", photo)
    paint(page, (0.2, 0.5), (0.8, 0.5))
    painted = share(page)
    first = made(page, server)
    page.find_element("css selector", "input[value=loom]").send_keys(" ")
    until(page, "return !document.querySelector('.original')")
    made(page, server)
    press(page, ".history li:nth-child(2) button")
    until(page, "return document.querySelector('canvas.over')")
    assert share(page) == painted
    again = made(page, server)
    assert (again["source"], again["mask"]) == (first["source"], first["mask"])
    press(page, ".original > button")
    until(page, "return document.querySelector('.original .drop')")
    assert "source" not in made(page, server)


def test_what_is_no_picture_is_said(server, open_page, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    page = open_page(view="#/make?model=holes")
    until(page, "return document.querySelector('.original .drop')")
    place = page.find_element("css selector", ".original input[type=file]")
    place.send_keys(str(tmp_path / "a.png"))
    until(page, "return document.querySelector('.toast.bad')")
    assert page.execute_script("return document.querySelector('.original .drop')")


def test_the_command_that_is_shown_sends_the_pictures(server, open_page, photo, tmp_path):
    page = open_page(view="#/make")
    choose(page, "holes", photo)
    paint(page, (0.2, 0.5), (0.8, 0.5))
    body = made(page, server)
    for name in ("source", "mask"):
        _, _, data = body[name].partition(",")
        (tmp_path / f"{name}.png").write_bytes(base64.b64decode(data))
    press(page, ".make .sheet button.tile")
    until(page, "return document.querySelector('dialog pre')")
    command = page.execute_script("return document.querySelector('dialog pre').textContent")
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=os.environ | {"no_proxy": "*"},
        capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = server.bodies(ROUTE)[-1]
    assert base64.b64decode(again["source"]) == (tmp_path / "source.png").read_bytes()
    assert base64.b64decode(again["mask"]) == (tmp_path / "mask.png").read_bytes()
    assert again["keep"] is True and again["options"] == body["options"]


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault_in_it(server, open_page, photo, dark):
    page = open_page(360 if dark else 1280, 800, dark=dark)
    source = gzip.decompress(AXE.read_bytes()).decode()
    found = {}
    for model in ("holes", "changes", "paints"):
        choose(page, model, photo)
        if model != "paints":
            paint(page, (0.2, 0.5), (0.8, 0.5))
        found[model] = faults(page, source)
        made(page, server)
        found[f"{model}, made"] = faults(page, source)
        press(page, ".make .sheet button.tile")
        until(page, "return document.querySelector('dialog .twin')")
        found[f"{model}, one"] = faults(page, source)
        press(page, "dialog .shut")
    assert page.execute_script("return document.documentElement.scrollWidth") <= (
        360 if dark else 1280
    )
    assert not any(found.values()), json.dumps(found, indent=1, ensure_ascii=False)


def test_a_real_server_fills_what_was_painted(tmp_path, photo, cache):
    folders = make(tmp_path / "models", "holes")
    with (
        serving(tmp_path / "state", folders, "--no-sign", "--threads", "1") as real,
        browsers(tmp_path / "pages", real.url) as open_,
    ):
        page = open_(view="#/make")
        choose(page, "holes", photo)
        paint(page, (0.5, 0.1), (0.5, 0.9))
        press(page, ".make .go")
        until(page, "return document.querySelector('.make .sheet button.tile img')", seconds=60)
        time.sleep(0.3)
        pictures = page.execute_async_script(
            """const done = arguments[0], all = [...document.querySelectorAll('.beside img')];
            Promise.all(all.slice(1, 3).map(async (image) => {
              const data = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
              return btoa(String.fromCharCode(...data));
            })).then(done);"""
        )
        first, second = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB"))
            for one in pictures
        )
        assert first.shape == (8, 8, 3)
        same = (first == second).all(-1)
        assert same[:, [0, 1, 6, 7]].all() and not same[2:6, 3:5].any()
        assert not complaints(page)
