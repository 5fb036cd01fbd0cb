"""A model that reads captions, in a real browser: what is described, and what is to be left out."""

from __future__ import annotations

import pytest

from tests.e2e.asking import talk
from tests.e2e.server import serving
from tests.e2e.studio_browser import browsers, complaints, press, until
from tests.e2e.test_captions import shapes as shapes  # a fixture

pytestmark = pytest.mark.slow
BOXES = "return [...document.querySelectorAll('.settings textarea')].map((box) => box.value)"
UNREAD = "return document.querySelector('.unread').textContent"
REUSE = """const name = "Use these settings";
const buttons = [...document.querySelectorAll("dialog[open] .actions button")];
buttons.find((one) => one.textContent.includes(name)).click();"""


def test_what_is_described_is_made_and_remembered(shapes, tmp_path):
    with (
        serving(tmp_path / "serve", {"shapes": shapes}, "--no-sign") as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page()
        until(page, "return document.querySelectorAll('.settings textarea').length === 2")
        described, negative = page.find_elements("css selector", ".settings textarea")
        described.send_keys("a red square")
        negative.send_keys("blue")
        press(page, ".go")
        until(page, "return document.querySelector('.canvas:not([aria-busy]) img')", seconds=60)
        assert page.execute_script(UNREAD) == ""
        with talk(server) as client:
            told = [one["options"] for one in client.get("/v1/outputs").json()["data"]]
        assert len(told) == 16
        assert all((o["caption"], o["negative"]) == ("a red square", "blue") for o in told)
        described.clear()
        negative.clear()
        page.execute_script("location.hash = '#/gallery'")
        tile = until(page, "return document.querySelector('.wall button.tile')")
        assert "a red square" in tile.get_attribute("aria-label")
        tile.click()
        shown = until(page, "return document.querySelector('dialog[open]')?.textContent")
        assert "Describe ita red square" in shown and "Leave outblue" in shown
        assert 'prompt="a red square"' in shown and '"negative_prompt": "blue"' in shown
        page.execute_script(REUSE)
        until(page, f"{BOXES}.join('|') === 'a red square|blue'")
        page.find_element("css selector", ".settings textarea").send_keys(" \u7ea2")
        press(page, ".go")
        until(page, f"{UNREAD} === 'Not read: prompt (1 unknown letter).'", seconds=60)
        page.execute_script("document.querySelectorAll('.history .thumb')[1].click()")
        until(page, f"{UNREAD} === ''")
        assert not complaints(page)
