"""The page in a real browser: it fits a phone, can be touched, follows the scheme, runs nothing."""

from __future__ import annotations

import importlib.util
import json
import re
from html import escape, unescape
from pathlib import Path

import pytest
from PIL import Image

from genloom.report import render
from tests.unit.report import made

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def screenshot():
    """The script that drives Chromium."""
    spec = importlib.util.spec_from_file_location("screenshot", ROOT / "scripts" / "screenshot.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.browser() is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return module


MEASURE = """
<script>
onload = () => {
  const page = document.querySelector('iframe').contentDocument, root = page.documentElement;
  for (const d of page.querySelectorAll('details')) d.open = true;
  const wide = [...page.body.querySelectorAll('*')].filter(e =>
    !e.closest('.scroll, nav, pre, svg') && e.getBoundingClientRect().right > root.clientWidth + 1);
  const small = [...page.querySelectorAll('nav a, summary, .answer a')].filter(e =>
    e.getBoundingClientRect().height < 44 && !e.matches('.skip'));
  const text = [...page.querySelectorAll('p, dd, td, li, span, small')].filter(e =>
    parseFloat(getComputedStyle(e).fontSize) < 12);
  document.title = JSON.stringify({
    width: root.scrollWidth, client: root.clientWidth,
    wide: wide.map(e => e.tagName + '.' + e.className), small: small.map(e => e.textContent),
    tiny: text.map(e => e.textContent), paper: getComputedStyle(page.body).backgroundColor,
    images: [...page.images].filter(i => !i.naturalWidth).length, title: page.title});
};
</script>
"""


def measured(screenshot, tmp_path: Path, html: str, width: int, *, dark: bool = False) -> dict:
    """What a script outside of the page sees of it, in a frame of some width."""
    outer = tmp_path / f"outer-{width}-{dark}.html"
    frame = f'<iframe style="border:0;width:{width}px;height:800px;color-scheme:light dark"'
    head = '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    outer.write_text(f'{head}{frame} srcdoc="{escape(html)}"></iframe>{MEASURE}')
    dom = screenshot.run(outer, "--dump-dom", width=max(width + 40, 600), dark=dark)
    found = re.search(r"<title>(\{.*?\})</title>", dom)
    assert found, dom[-2000:]
    return json.loads(unescape(found.group(1)))


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_fits_every_screen(screenshot, tmp_path, width):
    content = made.comparison(seeds=1)
    content["verdicts"][0]["name"] = "a_family_with_a_rather_long_name"
    content["table"]["rows"][0]["name"] = "a_family_with_a_rather_long_name"
    found = measured(screenshot, tmp_path, render(content), width)
    assert found["client"] == width
    assert found["width"] <= width and found["wide"] == []
    assert found["small"] == [] and found["tiny"] == [] and found["images"] == 0


def test_the_page_follows_the_scheme(screenshot, tmp_path):
    html = render(made.comparison(("gan", "flow")))
    light = measured(screenshot, tmp_path, html, 390)["paper"]
    dark = measured(screenshot, tmp_path, html, 390, dark=True)["paper"]
    assert light == "rgb(250, 249, 247)" and dark == "rgb(19, 20, 22)"


def test_nothing_runs_even_where_escaping_would_fail(screenshot, tmp_path):
    attack = (
        "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
        "<iframe src=\"javascript:parent.document.title='taken'\"></iframe>"
    )
    content = made.comparison(("gan", "flow"))
    content["verdicts"][0]["data"]["name"] = attack
    html = render(content)
    assert "<script" not in html
    path = tmp_path / "page.html"
    path.write_text(html)
    assert "<title>taken" not in screenshot.run(path, "--dump-dom", width=1000)
    path.write_text(html.replace("</main>", attack + "</main>"))  # had we not escaped
    assert "<title>taken" not in screenshot.run(path, "--dump-dom", width=1000)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', html)
    assert policy is not None
    path.write_text(html.replace(policy[0], "").replace("</main>", attack + "</main>"))
    assert "<title>taken" in screenshot.run(path, "--dump-dom", width=1000)  # the test can fail


def test_screenshots(screenshot, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render(made.comparison(("gan", "flow"))))
    pictures = {}
    for dark in (False, True):
        path = tmp_path / f"{dark}.png"
        screenshot.shoot(page, path, width=390, dark=dark, height=900)
        with Image.open(path) as picture:
            assert picture.size == (390, 900)
            pictures[dark] = picture.convert("L").resize((1, 1)).getpixel((0, 0))
    assert pictures[False] > 180 and pictures[True] < 90
    assert screenshot.height_of(page, 390) > screenshot.height_of(page, 1280) > 1500
