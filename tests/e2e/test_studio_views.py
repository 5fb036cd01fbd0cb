"""Explore, Judge and Train in a real browser, against a server of known answers."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from pathlib import Path

import pytest

from tests.e2e.studio_browser import complaints, press, show, until
from tests.e2e.studio_stub import SURVEY, stubbed, verdict

pytestmark = pytest.mark.slow
server = stubbed
AXE = Path(__file__).parent / "vendor" / "axe.min.js.gz"
VIEWS = ("make", "explore", "train", "judge", "judge?part=vote", "gallery", "jobs", "check",
         "review", "keys")  # fmt: skip
TEXT = "return document.querySelector(arguments[0])?.textContent ?? ''"


def chip(page, words):
    """Choose the chip that begins with these words."""
    script = """const all = [...document.querySelectorAll('main label.chip')];
        all.find(c => c.textContent.startsWith(arguments[0])).querySelector('input').click()"""
    page.execute_script(script, words)


def slide(page, name, value):
    """Write into the number field of that name."""
    page.execute_script(
        """const all = [...document.querySelectorAll('main label.name')];
        const label = all.find(l => l.textContent === arguments[0]);
        label.control.value = arguments[1]; label.control.dispatchEvent(new Event('input'));""",
        name,
        value,
    )  # fmt: skip


def test_a_walk_is_a_film_between_two_seeds(server, open_page):
    page = open_page(view="#/explore")
    press(page, ".exploring .go")
    until(page, "return document.querySelectorAll('.reel .frame').length === 9")
    slide(page, "From seed", 100)
    slide(page, "To seed", 200)
    slide(page, "Frames", 5)
    chip(page, "7")
    press(page, ".exploring .go")
    until(page, "return document.querySelectorAll('.reel .frame').length === 5")
    asked = server.bodies("/v1/generations")[-1]
    mix = [0, 0.25, 0.5, 0.75, 1]
    assert asked == {"model": "loom", "seed": 100, "toward": 200, "mix": mix, "label": "7"}
    frame = "return document.querySelector('.shot img').src"
    first = page.execute_script(frame)
    slider = page.find_element("css selector", ".scrubbing .slider")
    slider.send_keys("\ue014\ue014")  # arrow right, twice
    assert page.execute_script(TEXT, ".said") == "50 % of the way from 100 to 200"
    assert slider.get_attribute("aria-valuetext") == "50 % of the way from 100 to 200"
    assert page.execute_script(frame) != first
    shown = page.execute_script("return document.querySelector('.frame[aria-current]').ariaLabel")
    assert shown == "50 % of the way from 100 to 200"
    press(page, ".scrubbing button")
    until(page, "return document.querySelector('.said').textContent.startsWith('100 %')")
    slide(page, "Frames", 1)  # a film has three at least
    press(page, ".exploring .go")
    until(page, "return document.querySelectorAll('.reel .frame').length === 3")
    assert not complaints(page) and not server.missing


def test_to_look_at_a_view_makes_nothing(server, open_page):
    furnish(server)
    made = len(server.made)
    page = open_page()
    for view in VIEWS:
        show(page, view)
        time.sleep(0.5)
    show(page, "explore")
    for way in ("A walk", "How it is made", "Codes"):
        chip(page, way)
        until(page, "return document.querySelector('.exploring .panel button:not(.bare)')")
        time.sleep(0.3)
    assert len(server.made) == made and not server.bodies("/v1/generations")
    press(page, ".exploring .panel .actions button")  # a code at random
    until(page, "return document.querySelector('.shot img')")
    assert len(server.made) == made + 1
    assert not complaints(page)


def test_points_walk_too_and_only_models_with_codes_have_sliders(server, open_page):
    page = open_page(view="#/explore?model=moons")
    press(page, ".exploring .go")
    until(page, "return document.querySelectorAll('.reel .dots').length === 9")
    ways = "return [...document.querySelectorAll('main > div .chip')].map(c => c.textContent)"
    assert page.execute_script(ways) == ["A walk", "How it is made"]
    assert not complaints(page)


def test_a_sample_is_watched_as_it_is_made(server, open_page):
    page = open_page(view="#/explore")
    chip(page, "How it is made")
    until(page, "return document.querySelector('.exploring .go')?.textContent.startsWith('Watch')")
    press(page, ".exploring .go")
    until(page, "return document.querySelectorAll('.reel .frame').length === 4")
    words = "return [...document.querySelectorAll('.reel .frame')].map(f => f.title)"
    assert page.execute_script(words) == ["Step 1", "Step 2", "Step 3", "Finished"]
    assert page.execute_script(TEXT, ".said") == "Finished"
    assert not complaints(page)


def test_codes_move_by_sliders_and_along_directions(server, open_page):
    for seed in (40, 10):
        server.generate({"model": "loom", "seed": seed})
    page = open_page(view="#/explore")
    chip(page, "Codes")
    until(page, "return document.querySelectorAll('.exploring .panel .slider').length === 3")

    def last():
        return next((body["latent"] for body in server.bodies("/v1/generations")[::-1]), None)

    slide(page, "Number 2", 1.5)
    end = time.monotonic() + 5
    while last() != [[0, 1.5, 0]]:
        assert time.monotonic() < end, last()
        time.sleep(0.05)
    made = "return [...document.querySelectorAll('.picking .tile')]"
    titles = page.execute_script(f"{made}.map(b => b.title)")
    assert [title.rpartition(" ")[2] for title in titles[-2:]] == ["10", "40"]
    page.execute_script(f"{made[7:]}.at(-1).click()")  # seed 40 is A
    chip(page, "B")
    page.execute_script(f"{made[7:]}.at(-2).click()")  # seed 10 is B
    assert page.execute_script(f"{made}.slice(-2).map(b => b.ariaPressed)") == ["true", "true"]
    press(page, ".picking .actions button")
    until(page, "return document.querySelector('.way .slider')")
    slide(page, "Direction 1", 0.5)
    end = time.monotonic() + 5
    while last() != [[15, 1.5, 0]]:  # half of (40 - 10, 0, 0), added to the sliders
        assert time.monotonic() < end, last()
        time.sleep(0.05)
    press(page, ".way .bare")
    end = time.monotonic() + 5
    while last() != [[0, 1.5, 0]]:
        assert time.monotonic() < end, last()
        time.sleep(0.05)

    def forgotten():
        return [path for how, path, _ in server.asked if how == "DELETE"]

    codes = sum("latent" in body for body in server.bodies("/v1/generations"))
    while len(forgotten()) < codes - 1:  # all that the sliders passed through, but where they are
        assert time.monotonic() < end, (codes, forgotten())
        time.sleep(0.05)
    assert not complaints(page)


def test_reports_lie_side_by_side(server, open_page):
    for run, kid in (("first", 0.02), ("second", 0.3)):
        done = {"result": verdict(run, kid, 0.8), "body": {"models": [run]}, "finished": 1.7e9}
        server.job("evaluate", "succeeded", **done)
    page = open_page(view="#/judge")
    until(page, "return document.querySelectorAll('.measure').length === 2")
    boxes = "document.querySelectorAll('.shelf input')"
    assert page.execute_script(f"return [...{boxes}].map(b => b.checked)") == [True, False]
    page.execute_script(f"{boxes}[1].click()")
    rows = """return [...document.querySelectorAll('.measure')].map(m =>
        m.querySelectorAll('tbody tr').length)"""
    assert page.execute_script(rows) == [2, 2]
    told = page.execute_script(
        "return [...document.querySelectorAll('.measure .conclusion')].map(c => c.textContent)"
    )
    assert told == ["first is best.", "No difference shown."]
    scale = """const svg = document.querySelectorAll('.measure')[0].querySelectorAll('svg');
        const of = (s, q, a) => parseFloat(s.querySelector(q).getAttribute(a));
        return [...svg].map(s => [of(s, '.span', 'x1'), of(s, 'circle', 'cx'), of(s, '.span', 'x2'),
          of(s, '.floor', 'x1')])"""
    (low, worse), whole = page.execute_script(scale), 0.31 - 0.001  # second comes first
    low, worse = sorted((low, worse), key=lambda row: row[1])
    margin = 0.08 * whole
    for (left, at, right, floor), value in ((low, 0.02), (worse, 0.3)):
        place = lambda v: 100 * (v - 0.001 + margin) / (whole + 2 * margin)  # noqa: E731
        wanted = [place(value - 0.01), place(value), place(value + 0.01), place(0.001)]
        assert [left, at, right, floor] == pytest.approx(wanted, abs=0.01)
    assert "trivial generator 0.8, off the scale" in page.execute_script(TEXT, ".measure")
    press(page, "main details summary")
    until(page, "return document.querySelectorAll('.pairs img').length === 4")
    assert not complaints(page) and not server.missing


def test_verdicts_of_other_conditions_are_not_put_on_one_scale(server, open_page):
    for run, n in (("first", 500), ("second", 100)):
        done = {"result": verdict(run, 0.02, 0.8, n), "body": {"models": [run]}, "finished": 1.7e9}
        server.job("evaluate", "succeeded", **done)
    page = open_page(view="#/judge")
    until(page, "return document.querySelectorAll('.measure').length === 2")
    page.execute_script("document.querySelectorAll('.shelf input')[1].click()")
    assert page.execute_script("return document.querySelectorAll('.measure').length") == 4


@pytest.mark.parametrize("prefers", ["loom", "weft"])
def test_a_blind_vote_is_blind_until_its_end(server, open_page, prefers):
    page = open_page(view="#/judge?part=vote")
    slide(page, "How many pairs", 8)
    press(page, ".setting .go")
    until(page, "return document.querySelectorAll('.side img').length === 2")
    first, second = server.bodies("/v1/generations")[:2]
    assert first["seed"] == second["seed"] and [first["model"], second["model"]] == ["loom", "weft"]
    sides = []
    for i in range(8):
        until(page, "return document.querySelector('.count').textContent === arguments[0]",
              f"{i + 1} of 8")  # fmt: skip
        booth = page.execute_script("return document.querySelector('.booth').outerHTML")
        assert "loom" not in booth and "weft" not in booth
        assert not [path for how, path, _ in server.asked if (how, path) == ("GET", "/v1/votes")]
        sources = page.execute_script(
            "return [...document.querySelectorAll('.side img')].map(i => i.src)"
        )
        made = [server.made[src.split("/")[-2]]["model"] for src in sources]
        assert sorted(made) == ["loom", "weft"]
        sides.append(made.index(prefers))
        key = "0" if i == 0 else ["1", "\ue014"][sides[-1]] if i % 2 else ["\ue012", "2"][sides[-1]]
        page.find_element("css selector", "body").send_keys(key)
    until(page, "return document.querySelector('.preference')")
    assert len(server.votes) == 8 and server.votes[0]["choice"] == "tie"
    assert [vote["choice"] for vote in server.votes[1:]] == [
        ["left", "right"][side] for side in sides[1:]
    ]
    tally = page.execute_script(TEXT, ".preference")
    wins = "7 for loom, 0 for weft" if prefers == "loom" else "0 for loom, 7 for weft"
    assert f"8 votes in all: {wins}, 1 for neither." in tally and "interval" in tally
    names = page.execute_script(
        "return [...document.querySelectorAll('.won figcaption')].map(f => f.textContent)"
    )
    assert names == [prefers] * 7
    assert not complaints(page) and not server.missing


def test_sides_are_shuffled(server, open_page):
    page = open_page(view="#/judge?part=vote")
    chip(page, "own seeds")
    slide(page, "How many pairs", 40)
    press(page, ".setting .go")
    left = []
    for i in range(40):
        until(page, "return document.querySelector('.count')?.textContent === arguments[0]",
              f"{i + 1} of 40")  # fmt: skip
        press(page, ".choice.tie")
    until(page, "return document.querySelector('.preference')")
    left = [server.made[vote["left"]]["model"] for vote in server.votes]
    assert 5 <= left.count("loom") <= 35  # fair coins miss this once in a million times
    assert len({body["seed"] for body in server.bodies("/v1/generations")[:2]}) == 2


DROP = """
const files = arguments[0], done = arguments[1];
const entry = (path) => ({ isFile: true, fullPath: path,
  file: (take) => take(new File([files[path]], path.split('/').pop())) });
const folder = (path, inside) => ({ isFile: false, fullPath: path, createReader() {
  let sent = false;
  return { readEntries: (take) => { take(sent ? [] : inside); sent = true; } }; } });
const all = Object.keys(files), groups = {};
for (const path of all) (groups[path.split('/')[2]] ??= []).push(entry(path));
const kinds = Object.entries(groups).map(([name, inside]) => folder('/pets/' + name, inside));
const event = new Event('drop', { bubbles: true, cancelable: true });
event.dataTransfer = { items: [{ webkitGetAsEntry: () => folder('/pets', kinds) }], files: [] };
document.querySelector('.drop').dispatchEvent(event);
done();
"""


def test_a_folder_becomes_a_zip_and_is_looked_through(server, open_page):
    page = open_page(view="#/train")
    chip(page, "My own files")
    files = {
        "/pets/cats/1.png": "meow" * 99, "/pets/cats/\u00e9.png": "caf\u00e9",
        "/pets/dogs/1.png": "", "/pets/dogs/.DS_Store": "x", "/pets/__MACOSX/dogs": "x",
    }  # fmt: skip
    page.execute_async_script(DROP, files)
    until(page, "return document.querySelector('.survey .tally')")
    (sent,) = server.uploads
    archive = zipfile.ZipFile(io.BytesIO(sent[sent.index(b"PK\x03\x04") :]))
    assert archive.testzip() is None
    assert {name: archive.read(name).decode() for name in archive.namelist()} == {
        "cats/1.png": "meow" * 99, "cats/\u00e9.png": "caf\u00e9", "dogs/1.png": "",
    }  # fmt: skip
    assert server.bodies("/v1/jobs")[-1] == {"kind": "survey", "body": {"data": "file-1"}}
    told = page.execute_script(TEXT, ".survey")
    for words in ("240 read", "2 left out", "cats/broken.png", "the file ends too early", "dogs"):
        assert words in told
    assert page.execute_script(TEXT, ".drop span") == "pets: 3 files, 401 B"
    assert len(page.execute_script("return [...document.querySelectorAll('meter')]")) == len(
        SURVEY["classes"]
    )
    assert not complaints(page) and not server.missing


def test_captions_of_own_pictures_are_learned_unless_they_are_not_wanted(server, open_page):
    page = open_page(view="#/train")
    shown = """return [...document.querySelectorAll('.folding .switch, .folding .fields > p.hint')]
        .filter(one => one.offsetParent).map(one => one.className)"""
    assert page.execute_script(shown) == []
    chip(page, "My own files")
    page.execute_async_script(DROP, {"/pets/cats/1.png": "a", "/pets/cats/1.txt": "a cat"})
    until(page, "return document.querySelector('.survey .tally')")
    assert "200 captions" in page.execute_script(TEXT, ".survey")
    chip(page, "GAN")
    assert page.execute_script(shown) == ["hint"]
    chip(page, "Diffusion")
    assert page.execute_script(shown) == ["switch"]
    until(page, "return document.querySelector('.forecast .figures')")
    press(page, ".folding .switch input")
    until(page, "return !document.querySelector('.forecast .figures')")
    until(page, "return document.querySelector('.forecast .figures')")
    press(page, ".folding .switch input")
    press(page, ".folding .primary")
    until(page, "return document.querySelector('.watching')")
    asked = [body for body in server.bodies("/v1/jobs") if body["kind"] in ("forecast", "train")]
    told = [(body["kind"], body["body"].get("settings")) for body in asked[-3:]]
    learn = {"data.captions": True}
    assert told == [("forecast", learn), ("forecast", None), ("train", learn)]
    assert not complaints(page) and not server.missing


def test_a_forecast_stands_beside_the_budget(server, open_page):
    page = open_page(view="#/train")
    until(page, "return document.querySelector('.forecast .figures')")
    slide(page, "Minutes", 20)
    chip(page, "VAE")
    until(page, "return document.querySelector('.forecast .figures')")
    asked = [body["body"] for body in server.bodies("/v1/jobs") if body["kind"] == "forecast"]
    assert asked == [
        {"data": "digits", "family": "flow", "minutes": 5},
        {"data": "digits", "family": "vae", "minutes": 20},
    ]
    told = page.execute_script(TEXT, ".forecast")
    assert "4,1" not in told and "4100" in told and "5 min" in told and "310 MB" in told
    press(page, ".folding .primary")
    until(page, "return document.querySelector('.watching')")
    assert server.bodies("/v1/jobs")[-1]["body"]["name"] == "digits-vae"


def test_a_training_is_watched_stopped_and_resumed(server, open_page):
    body = {"name": "mine", "family": "flow", "data": "digits", "minutes": 5}
    server.job("train", "running", body=body)
    page = open_page(view="#/train")
    until(page, "return document.querySelectorAll('.chart').length === 3")
    label = page.execute_script("return document.querySelector('.chart svg').ariaLabel")
    assert label.startswith("velocity: from 1.955 to")
    path = page.execute_script("return document.querySelector('.chart path').getAttribute('d')")
    assert path.count("L") == 198 and path.count("M") == 1 and "NaN" not in path
    until(page, "return document.querySelectorAll('.watching .frame').length === 3")
    assert page.execute_script(TEXT, ".watching .said") == "Step 400"
    alarms = page.execute_script(TEXT, ".alarms")
    assert "all samples look alike" in alarms and "12%" in alarms and "old alarm" not in alarms
    assert "Step 199 of 500" in page.execute_script(TEXT, ".job > p.soft")
    assert "1.6 min left" in page.execute_script(TEXT, ".job > p.soft")
    press(page, ".job .foot button")
    end = time.monotonic() + 5
    while ("DELETE", "/v1/jobs/job-0", b"") not in server.asked:
        assert time.monotonic() < end
        time.sleep(0.05)
    page.refresh()
    until(page, "return document.querySelector('.badge.cancelled')")
    press(page, ".job .foot button")
    until(page, "return document.querySelectorAll('.job').length === 2")
    assert server.bodies("/v1/jobs/job-0/resume") == [{}]
    assert not complaints(page)


def test_only_a_training_that_began_can_go_on(server, open_page):
    for name, progress in (("early", 0.0), ("late", 0.3)):
        server.job("train", "failed", body={"name": name}, progress=progress, error="no room")
    server.job("train", "cancelled", body={"name": "waited"}, progress=0.0, started=None)
    page = open_page(view="#/train")
    until(page, "return document.querySelector('.job .foot button')")
    time.sleep(0.5)
    names = """return [...document.querySelectorAll('.job')].filter(one =>
        one.querySelector('.foot button')).map(one => one.querySelector('strong').textContent)"""
    assert page.execute_script(names) == ["late"]
    assert not complaints(page) and not server.missing


def test_an_admin_sees_how_the_server_does(server, open_page):
    page = open_page(view="#/keys")
    until(page, "return document.querySelectorAll('.health dd').length === 9")
    told = page.execute_script(
        "return [...document.querySelectorAll('.health dd')].map(d => d.textContent)"
    )
    assert told == ["3", "2", "5", "2", "1", "7", "800 MB", "\u2264 0.1 s", "> 1 min"]


def test_a_phone_keeps_the_rest_behind_a_button(server, open_page):
    page = open_page(360, 780)
    hidden = "return getComputedStyle(document.querySelector('nav .rest')).display"
    assert page.execute_script(hidden) == "none"
    press(page, "nav .others")
    assert page.execute_script(hidden) == "grid"
    more = page.find_element("css selector", "nav .others")
    assert more.get_attribute("aria-expanded") == "true"
    page.find_element("css selector", "nav .rest a").send_keys("\ue00c")
    assert page.execute_script(hidden) == "none"
    assert page.execute_script("return document.activeElement.classList.contains('others')")


def tiles(page):
    """The seeds of what the gallery shows, and which of it is selected."""
    found = page.execute_script(
        "return [...document.querySelectorAll('.wall .tile')].map(b => [b.title, b.ariaPressed])"
    )
    return [(int(title.rpartition(" ")[2]), pressed) for title, pressed in found]


def test_the_gallery_shows_one_model(server, open_page):
    for seed, model in enumerate(("loom", "weft", "loom", "weft", "weft")):
        server.generate({"model": model, "seed": seed})
    page = open_page(view="#/gallery")
    until(page, "return document.querySelectorAll('.wall .tile').length === 5")
    press(page, ".selecting button")
    press(page, ".wall .tile")
    chip(page, "loom")
    until(page, "return document.querySelectorAll('.wall .tile').length === 2")
    assert tiles(page) == [(2, None), (0, None)]  # what was selected no longer is
    chip(page, "holes")
    until(page, "return document.querySelector('.more .nothing')")
    chip(page, "All")
    until(page, "return document.querySelectorAll('.wall .tile').length === 5")
    assert not complaints(page) and not server.missing


def test_many_outputs_are_kept_as_an_archive_and_deleted_together(server, open_page, tmp_path):
    for seed in range(5):
        server.generate({"model": "loom", "seed": seed})
    server.made["out-1"]["state"] = "held"
    page = open_page(view="#/gallery")
    page.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "got")}
    )
    until(page, "return document.querySelectorAll('.wall .tile').length === 5")
    press(page, ".selecting button")
    wall = "document.querySelectorAll('.wall .tile')"
    for i in (0, 1, 3, 1):  # the second is chosen and let go
        page.execute_script(f"{wall}[{i}].click()")
    assert page.execute_script(TEXT, ".selecting strong") == "2 chosen"
    pressed = [(seed, flag == "true") for seed, flag in tiles(page)]
    assert pressed == [(4, True), (3, False), (2, False), (1, True), (0, False)]
    press(page, ".selecting button:nth-of-type(2)")
    end = time.monotonic() + 20
    while not (tmp_path / "got" / "genloom.zip").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    archive = zipfile.ZipFile(tmp_path / "got" / "genloom.zip")
    assert (archive.testzip(), archive.namelist()) == (None, ["out-4"])  # what is held is not
    assert archive.read("out-4") == server.content("out-4")
    page.execute_script(f"{wall}[4].click()")
    until(page, "return document.querySelector('.selecting .danger')")
    press(page, ".selecting .danger")
    assert page.execute_script(TEXT, ".selecting .danger") == "Really delete 3?"
    assert len(server.made) == 5
    press(page, ".selecting .danger")
    until(page, "return document.querySelector('.toast.bad')")  # one waits for a reviewer
    until(page, "return document.querySelectorAll('.wall .tile').length === 3")
    assert sorted(server.made) == ["out-1", "out-2", "out-3"]
    assert page.execute_script(TEXT, ".selecting strong") == "1 chosen"
    server.made["out-1"]["state"] = "free"
    press(page, ".selecting button")  # all
    assert page.execute_script(TEXT, ".selecting strong") == "3 chosen"
    press(page, ".selecting .danger")
    press(page, ".selecting .danger")
    until(page, "return document.querySelector('.more .nothing')")
    assert not server.made and not server.missing


def furnish(server):
    """Something to see in every view."""
    for seed in range(12):
        server.generate({"model": ["loom", "weft", "moons"][seed % 3], "seed": 17 * seed})
    for kind, result, models in (
        ("evaluate", verdict("loom", 0.02, 0.8), ["loom"]),
        ("compare", {"verdicts": [verdict("loom", 0.02, 0.8), verdict("weft", 0.3, 0.4)]},
         ["loom", "weft"]),
    ):  # fmt: skip
        server.job(kind, "succeeded", result=result, body={"models": models}, finished=1.7e9)
    server.job("train", "running", body={"name": "mine", "family": "flow", "data": "digits"})


def faults(page, source):
    """What axe calls serious or critical on the page as it stands."""
    page.execute_script(source)
    found = page.execute_async_script(
        """const done = arguments[0];
        axe.run({ resultTypes: ["violations"] }).then(r => done(r.violations.map(v =>
          [v.impact, v.id, v.nodes.slice(0, 4).map(n => n.html.slice(0, 160) + ' ' +
            (n.any[0]?.message ?? '').slice(0, 140))])))"""
    )
    return [one for one in found if one[0] in ("serious", "critical")]


def deeper(page):
    """Name -> the page in a state that takes more than a look."""
    show(page, "explore")
    chip(page, "How it is made")
    until(page, "return document.querySelector('.exploring .go')?.textContent.startsWith('Watch')")
    press(page, ".exploring .go")
    until(page, "return document.querySelector('.said')?.textContent === 'Finished'")
    yield "explore, made"
    chip(page, "Codes")
    until(page, "return document.querySelector('.picking .tile')")
    tiles = "document.querySelectorAll('.picking .tile')"
    page.execute_script(f"{tiles}[0].click()")
    chip(page, "B")
    page.execute_script(f"{tiles}[1].click()")
    press(page, ".picking .actions button")
    until(page, "return document.querySelector('.way .slider')")
    yield "explore, codes"
    show(page, "judge?part=vote")
    press(page, ".setting .go")
    until(page, "return document.querySelectorAll('.side img').length === 2")
    yield "vote, under way"
    press(page, ".choice.left")
    until(page, "return document.querySelector('.count').textContent.startsWith('2 of')")
    press(page, ".booth .foot button")
    until(page, "return document.querySelector('.preference')")
    page.execute_script("document.querySelector('.booth details').open = true")
    yield "vote, over"
    show(page, "train")
    page.execute_script("document.querySelector('details.folding').open = true")
    chip(page, "My own files")
    page.execute_async_script(DROP, {"/pets/cats/1.png": "a", "/pets/dogs/1.png": "b"})
    until(page, "return document.querySelector('.survey .tally')")
    until(page, "return document.querySelector('.forecast .figures')")
    yield "train, surveyed"
    show(page, "judge")
    press(page, ".reading details summary")
    until(page, "return document.querySelectorAll('.pairs img').length === 4")
    yield "judge, pairs"
    show(page, "gallery")
    press(page, ".selecting button")
    press(page, ".wall .tile")
    until(page, "return document.querySelector('.tile[aria-pressed=true]')")
    yield "gallery, selecting"
    press(page, ".selecting button:last-child")
    press(page, "button.tile")
    until(page, "return document.querySelector('dialog .record')")
    yield "gallery, one"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 900), (360, 780)])
def test_axe_finds_no_serious_fault(server, open_page, dark, size):
    furnish(server)
    page = open_page(*size, dark=dark)
    source = gzip.decompress(AXE.read_bytes()).decode()
    found = {}
    for view in VIEWS:
        show(page, view)
        time.sleep(1.2 if view in ("train", "explore", "make") else 0.5)
        found[view] = faults(page, source)
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0], view
    for state in deeper(page):
        found[state] = faults(page, source)
    assert not any(found.values()), json.dumps(found, indent=1, ensure_ascii=False)
