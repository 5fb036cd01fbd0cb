"""The studio in a real browser, on a real server: what a person does, what must not happen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from genloom.studio import FOLDER
from tests.e2e.server import serving
from tests.e2e.studio_browser import complaints, press, until

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")

# Said by a server in every name, class and text; none of it may ever run.
PAYLOADS = [
    "<script>pwned=1</script>", "<img src=x onerror=pwned=1>", '"><svg onload=pwned=1>',
    "javascript:pwned=1", "'-pwned=1-'", "{{constructor.constructor('pwned=1')()}}", "${pwned=1}",
    "</textarea><script>pwned=1</script>", "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "<a href=javascript:pwned=1>x</a>", "<details open ontoggle=pwned=1>", "<style>*{display:none}",
    "<base href=//evil.example>", "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<math><mi xlink:href=javascript:pwned=1>", "<input autofocus onfocus=pwned=1>",
    "<video><source onerror=pwned=1>", "<body onload=pwned=1>", "<object data=javascript:pwned=1>",
    "<embed src=javascript:pwned=1>", "<form action=javascript:pwned=1><button>x",
    "<marquee onstart=pwned=1>", "\u202egnp.exe", "{step}{n}", "__proto__", "constructor",
    "../../etc/passwd", "%3Cscript%3E", "&lt;script&gt;", "<!--<script>", "]]><script>",
    "\\u003cscript\\u003e", "<svg><animate onbegin=pwned=1>", "<template><script>",
    "<x onclick=pwned=1>", "' onmouseover='pwned=1", '" autofocus onfocus="pwned=1',
    "`${pwned=1}`", "<link rel=stylesheet href=//evil.example>",
    "<noscript><p title='</noscript><img src=x onerror=pwned=1>'>",
    "<select><img src=x onerror=pwned=1>", "<table background=javascript:pwned=1>",
    "data:text/html,<script>pwned=1</script>", "vbscript:x", "<script src=//evil.example></script>",
    "<img srcset=x onerror=pwned=1>", "<audio src=x onerror=pwned=1>",
    "</title><script>pwned=1</script>", "<svg><use href='data:image/svg+xml,<svg onload=pwned=1>'>",
    "<isindex type=image src=1 onerror=pwned=1>",
]  # fmt: skip

# A server that says the payloads, inside the page: the page's own code is all that is tested.
HOSTILE = """
const said = %s;
const model = { id: said[0], kind: "image", shape: [1, 8, 8], classes: said, hash: said[1] };
const item = (i) => ({ id: said[i], model: said[0], seed: i, label: String(i),
  kind: i %% 2 ? "text" : "image",
  text: said[i], media_type: said[2], state: said[i], held_for: said[i], created: 0, url: said[3],
  options: { sampling: { [said[i]]: said[i] } } });
const estimate = (i) => ({ name: said[i], value: i, low: i - 1, high: i + 1, n: 9, id: said[i],
  better: said[i], unit: said[i], tag: said[i], floor: 1, trivial: 2 });
const verdict = (i) => ({ run: said[i], name: said[i], passed: false, failures: said,
  warnings: said, estimates: said.map((_, k) => estimate(k)) });
const job = (i) => ({ id: said[i], kind: [said[i], "train", "evaluate"][i %% 3],
  body: { name: said[i], model: said[i], family: said[i], data: said[i] },
  state: i %% 3 === 2 ? "succeeded" : said[i], progress: 0, started: 1,
  error: said[i], result: { model: said[i], report_file: said[i], ...verdict(i) }, finished: 1 });
const curves = { series: Object.fromEntries(said.map((name, i) => [name, [[1, i], [2, 3]]])),
  alarms: said.map((name) => ({ name, text: name, active: true })), step: 1, total: 2 };
const pairs = said.map((text) => ({ model: text, distance: 1, generated_b64: text,
  training: text }));
const done = (result) => [`event: job\ndata: ${JSON.stringify({ ...job(0), state: "succeeded",
  result })}\n\n`];
const survey = { read: 1, quarantined: 1, kind: said[0], shape: said, problem: said[0],
  findings: said.map((file) => ({ file, reason: file })),
  classes: said.map((name) => ({ name, count: 1 })), splits: { [said[0]]: 1 } };
const votes = { a: said[0], b: said[1], votes: 1, a_wins: 1, b_wins: 0, ties: 0, preference: 1,
  low: 0.6, high: 1 };
const list = (make) => ({ data: said.map((_, i) => make(i)), has_more: false });
const answers = [
  [/v1.session$/, { name: said[0], scopes: ["generate", "train", "admin"], local: true }],
  [/v1.models$/, { data: [model] }],
  [/schema$/, { properties: { label: { enum: said },
    [said[4]]: { type: "string", enum: said, default: said[0] } } }],
  [/v1.outputs.*content$/, said[0]], [/v1.outputs/, list(item)], [/v1.reviews.*content$/, said[0]],
  [/v1.reviews/, list(item)], [/curves/, curves], [/pairs$/, { data: pairs }],
  [/samples$/, { data: said.map((step) => ({ step, media_type: step })) }],
  [/events$/, done(survey)], [/v1.votes/, votes],
  [/v1.jobs$|v1.jobs.limit/, list(job)],
  [/v1.keys/, list((i) => ({ name: said[i], scopes: [said[i]], created: 0 }))],
];
window.fetch = async (path) => {
  if (String(path) === "/v1/generations") {
    const data = said.map((_, i) => item(i));
    const done = { created: 0, model: said[0], seed: 0, data, usage: {} };
    return new Response(`event: generation.completed\\ndata: ${JSON.stringify(done)}\\n\\n`);
  }
  const found = answers.find(([pattern]) => pattern.test(path));
  if (Array.isArray(found?.[1])) return new Response(found[1][0]);
  return found ? new Response(JSON.stringify(found[1])) : new Response("{}", { status: 404 });
};
"""


@pytest.fixture
def keyed_server(tmp_path, served_models):
    """URL and secret of a server that has an admin key."""
    folder = tmp_path / "keyed"
    words = ["keys", "add", "ada", "--scopes", "generate,train,admin", "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "genloom", *words, "--folder", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    with serving(folder, served_models) as started:
        yield f"{started.url}/", json.loads(made.stdout)["secret"]


def pick(page, model):
    """Choose a model and wait for its controls."""
    script = (
        "return [...document.querySelectorAll('.model input')].find(i => i.value === arguments[0])"
    )
    page.execute_script(f"{script.replace('return ', '(')}).click()", model)
    until(page, "return document.querySelector('.settings .fields')")
    time.sleep(0.3)


def fill_in(page, name, value):
    """Write into the field of that name."""
    page.execute_script(
        """const labels = [...document.querySelectorAll('.settings label.name')];
        const label = labels.find(l => l.textContent === arguments[0]);
        label.control.value = arguments[1]; label.control.dispatchEvent(new Event('input'));""",
        name,
        value,
    )  # fmt: skip


def generate(page):
    press(page, ".go")
    until(
        page,
        "return !document.querySelector('.go.busy') && "
        "document.querySelector('.status').textContent",
    )


def test_the_page_is_small_and_holds_no_inline_code():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 288_000
    page = (FOLDER / "index.html").read_text()
    assert "<style" not in page and " style=" not in page and not re.search(r"\son\w+=", page)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    for path in FOLDER.rglob("*.js"):
        code = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                     "new Function", "https://", "http://"):  # fmt: skip
            assert word not in code.replace("http://www.w3.org/2000/svg", ""), (path.name, word)


def keys_of(language):
    """Every word that the page has in a language, as group.name."""
    text = (FOLDER / "words" / f"{language}.js").read_text()
    groups = re.findall(r'^  "?(\w*)"?: \{\n(.*?)^  \},$', text, re.MULTILINE | re.DOTALL)
    names = [(group, name) for group, words in groups for name in re.findall(r'"([\w.]+)":', words)]
    assert len(names) == len(re.findall(r'"[\w.]+":', text))  # none stands outside of the groups
    return sorted(names)


def test_both_languages_say_the_same_things():
    keys = keys_of("en")
    assert len(keys) == len(set(keys)) > 150 and keys == keys_of("zh")


def test_a_seed_makes_the_same_pictures_again(open_page):
    page = open_page()
    pick(page, "digits")
    fill_in(page, "How many", "4")
    fill_in(page, "Seed", "7")
    shown = "return [...document.querySelectorAll('button.tile img')].map(i => i.src)"
    pixels = """const done = arguments[0];
        Promise.all([...document.querySelectorAll('button.tile img')].map(async (i) => {
          await i.decode();
          const c = new OffscreenCanvas(i.naturalWidth, i.naturalHeight), g = c.getContext('2d');
          g.drawImage(i, 0, 0);
          return g.getImageData(0, 0, c.width, c.height).data.join();
        })).then(done);"""
    generate(page)
    first, addresses = page.execute_async_script(pixels), page.execute_script(shown)
    assert len(first) == 4 and len(set(first)) == 4
    generate(page)
    assert page.execute_script(shown) != addresses and page.execute_async_script(pixels) == first
    fill_in(page, "Seed", "8")
    generate(page)
    assert page.execute_async_script(pixels)[:3] == first[1:]
    assert not complaints(page)


def test_the_large_view_walks_and_varies(open_page):
    page = open_page()
    pick(page, "digits")
    fill_in(page, "How many", "4")
    fill_in(page, "Seed", "40")
    generate(page)
    press(page, "button.tile")
    record = "return document.querySelector('dialog .record').textContent"
    assert "40" in until(page, record)
    page.find_element("css selector", "dialog").send_keys(webdriver.Keys.ARROW_RIGHT)
    assert "41" in page.execute_script(record)
    code = page.execute_script(
        "return [...document.querySelectorAll('.code pre')].map(p => p.textContent)"
    )
    assert "curl '" in code[0] and '"seed":41' in code[0] and "client.images.generate" in code[1]
    compile(code[1], "copied", "exec")
    press(page, "dialog .actions button")
    until(page, "return document.querySelectorAll('button.tile').length === 9")
    titles = page.execute_script(
        "return [...document.querySelectorAll('button.tile')].map(b => b.title)"
    )
    assert [re.findall(r"seed (\d+)", title)[0] for title in titles] == [
        str(n) for n in range(37, 46)
    ]
    assert "41" in page.execute_script("return document.querySelector('.tile[aria-current]').title")
    assert not complaints(page)


def test_cancelling_takes_no_time_and_generating_goes_on_after_it(open_page):
    page = open_page()
    pick(page, "digits")
    fill_in(page, "Steps", "1000")
    page.find_element("css selector", "body").send_keys(
        webdriver.Keys.CONTROL, webdriver.Keys.ENTER
    )
    until(page, "return document.querySelector('.go.busy')")
    took = page.execute_async_script(
        """const done = arguments[0], start = performance.now();
        dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
        const look = () => document.querySelector('.go.busy')
          ? setTimeout(look, 4) : done(performance.now() - start);
        look();"""
    )
    assert took < 500
    assert page.execute_script("return document.querySelector('.status').textContent") == "Stopped."
    fill_in(page, "Steps", "2")
    generate(page)
    assert page.execute_script("return document.querySelectorAll('button.tile').length") == 16
    assert not complaints(page)


def test_points_are_drawn_and_walked_by_keys(open_page):
    page = open_page()
    pick(page, "moons")
    fill_in(page, "How many", "12")
    fill_in(page, "Seed", "3")
    generate(page)
    assert until(page, "return document.querySelectorAll('.scatter tbody tr').length") == 12
    classes = """const c = document.querySelector('canvas.plot');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let blue = 0, orange = 0;
        for (let i = 0; i < d.length; i += 4) {
          blue += d[i + 2] > d[i] + 80;
          orange += d[i] > d[i + 2] + 80;
        }
        return [blue, orange];"""
    assert min(until(page, classes)) > 40  # pixels in the colours of the two classes
    canvas = page.find_element("css selector", "canvas.plot")
    canvas.send_keys(webdriver.Keys.ARROW_RIGHT, webdriver.Keys.ENTER)
    assert until(page, "return document.querySelector('dialog .values')?.children.length") == 2
    assert not complaints(page)


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("dark", [False, True])
def test_every_view_fits_a_phone(open_page, language, dark):
    page = open_page(360, 780, dark=dark, language=language)
    assert page.execute_script("return document.documentElement.lang") == (
        "en" if language == "en-US" else "zh-CN"
    )
    for view in ("make", "explore", "train", "judge", "gallery", "jobs", "check", "review", "keys"):
        page.execute_script("location.hash = arguments[0]", f"#/{view}")
        until(
            page,
            f"return document.querySelector('nav a[aria-current]').hash === '#/{view}' && "
            "document.querySelector('main h1')",
        )
        if view == "explore":
            press(page, ".exploring .go")
            until(page, "return document.querySelectorAll('.reel .frame').length === 9")
        time.sleep(0.5)
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360, view
        small = page.execute_script(
            """const all = document.querySelectorAll('button, a.button, nav a, input');
            return [...all].map(e => [e, e.closest('label, .field') ?? e]).filter(([e, hit]) =>
              e.offsetParent && Math.max(e.offsetHeight, hit.offsetHeight) < 40)
            .map(([e]) => e.outerHTML.slice(0, 80))"""
        )  # fmt: skip
        assert not small, (view, small)
        unnamed = page.execute_script(
            """const all = document.querySelectorAll('button, a, input, select, textarea');
            return [...all].filter(e => e.offsetParent && !e.ariaLabel && !e.textContent.trim() &&
              !e.labels?.length).map(e => e.outerHTML.slice(0, 80))"""
        )
        assert not unnamed, (view, unnamed)
    assert not complaints(page)


def test_the_choice_of_language_and_colours_is_remembered(open_page):
    page = open_page()
    looks = (
        "return [document.documentElement.lang, getComputedStyle(document.body).backgroundColor]"
    )
    before = page.execute_script(looks)
    press(page, ".top .tools button:nth-child(1)")
    press(page, ".top .tools button:nth-child(2)")
    after = page.execute_script(looks)
    assert before[0] == "en" and after[0] == "zh-CN" and before[1] != after[1]
    page.refresh()
    until(page, "return document.querySelector('.go')")
    assert page.execute_script(looks) == after


def test_what_a_server_says_never_runs(open_page):
    assert len(PAYLOADS) == 50
    page = open_page(script=HOSTILE % json.dumps(PAYLOADS))
    fill_in(page, "How many", "50")
    generate(page)
    assert until(page, "return document.querySelectorAll('button.tile').length") == 50
    for view in ("make", "explore", "train", "judge", "judge?part=vote", "gallery", "jobs",
                 "review", "keys", "__proto__", PAYLOADS[1]):  # fmt: skip
        page.execute_script("location.hash = arguments[0]", f"#/{view}")
        if view == "explore":
            press(page, ".exploring .go")
        time.sleep(0.8)
        page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        time.sleep(0.4)
        found = page.execute_script(
            """const foreign = `script, iframe, object, embed, style, link, base, meta, math, video,
              marquee, form`;
            return [window.pwned ?? null, document.querySelectorAll(`#app :is(${foreign})`).length,
            document.body.textContent.length]"""
        )
        assert found[:2] == [None, 0] and found[2] > 100, (view, found)
    page.execute_script("location.hash = '#/gallery'")
    press(page, "button.tile")
    until(page, "return document.querySelector('dialog .record')")
    assert page.execute_script("return window.pwned ?? null") is None
    assert page.execute_script("return violations") == []


def test_a_training_is_watched_from_its_forecast_to_its_model(open_page):
    page = open_page(view="#/train")
    until(page, "return document.querySelector('.forecast .figures')", seconds=90)
    minutes = "document.querySelectorAll('.folding .number')[0]"
    page.execute_script(f"{minutes}.value = '0.1'")
    press(page, ".folding .primary")
    until(page, "return document.querySelectorAll('.chart').length >= 3", seconds=60)
    until(page, "return document.querySelector('.watching .shot img')?.naturalWidth", seconds=60)
    until(page, "return document.querySelector('.job .foot a.button')", seconds=90)
    assert page.execute_script("return document.querySelector('.badge').textContent") == "done"
    press(page, ".job .foot a.button")
    until(page, "return document.querySelector('.go')")
    chosen = "return document.querySelector('.model input:checked').value"
    assert until(page, chosen) == "digits-flow"
    assert not complaints(page)


def test_a_vote_between_served_models_is_counted(open_page):
    page = open_page(view="#/judge?part=vote")
    press(page, ".setting .go")
    for i in range(3):
        script = "return document.querySelector('.count')?.textContent.startsWith(arguments[0])"
        until(page, script, f"{i + 1} of")
        press(page, ".choice.left")
    until(page, script, "4 of")
    press(page, ".booth .foot button")
    tally = until(page, "return document.querySelector('.preference')?.textContent")
    assert "3 votes in all" in tally and "95 % interval" in tally
    assert not complaints(page)


def test_a_key_opens_the_studio(open_page, keyed_server):
    """The page asks for it, and then shows what it may do."""
    url, secret = keyed_server
    page = open_page()
    page.get(url)
    until(page, "return document.querySelector('.signin')")
    field = page.find_element("css selector", ".signin input")
    field.send_keys("gl-wrong", webdriver.Keys.ENTER)
    assert until(
        page, "return document.querySelector('.signin .failure:not([hidden])')?.textContent"
    )
    field.clear()
    field.send_keys(secret, webdriver.Keys.ENTER)
    until(page, "return document.querySelector('.go')")
    assert page.execute_script("return document.cookie") == ""
    press(page, ".top .tools button:nth-child(3)")
    until(page, "return document.querySelector('.signin')")
