"""The page: self-contained, well-formed, readable, honest, and deaf to what its strings say."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

import genloom.report
from genloom.errors import BadInput
from genloom.metrics.estimate import Estimate
from genloom.metrics.league import compare_verdicts
from genloom.report import render
from genloom.report.words import measure
from tests.unit.report import made
from tests.unit.report.page import Page

TAINT = (
    "\"'<b>x</b>&amp;{{7*7}}{%x%}</style></script><!--]]>`$(id);\\\u202e\x07%00../\r\n--javascript:"
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(made.comparison()))


def test_page_is_well_formed(page):
    assert page.wrong == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for attrs in page.all("a")]
    assert all(link.startswith("#") and link[1:] in ids for link in links if link)


def test_page_loads_nothing_and_runs_nothing(page):
    html = render(made.comparison())
    for _, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            address = attrs.get(name) or "#"
            assert address.startswith(("#", "data:image/png;base64,", "data:,")), address
        assert not [name for name in attrs if name.startswith("on")]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {
        tag for tag, _ in page.elements
    }
    assert "url(" not in html and "@import" not in html
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:")


def test_page_is_accessible(page):
    assert all(attrs.get("alt") for attrs in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    assert all(attrs.get("scope") for attrs in page.all("th"))
    regions = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert regions and all(a["tabindex"] == "0" and a["aria-label"] for a in regions)


def test_pictures_come_first(page):
    kinds = [tag for tag, attrs in page.elements if tag == "img" or tag == "table"]
    assert kinds[0] == "img"


def test_table_shows_value_interval_floor_and_trivial(page):
    for shown in ("0.0210", "0.0170 \u2013 0.0250", "0.0004", "1.9000", "88.0 %", "bound", "exact"):
        assert shown in page.text, shown


def test_health_is_shown_in_figures_of_their_own(page):
    text = page.text
    assert "Was training stable?" in text and "#health" in {a["href"] for a in page.all("a")}
    for title, said in (
        ("Gradient norms", "the model"),
        ("Gradient norms", "discriminator"),
        ("Overfitting of the discriminator", "sign of its certainty"),
        ("Gap of the discriminator", "logits"),
        ("Diversity", "samples of a training batch"),
        ("Information in the code", "nats"),
        ("Of its own", "of_its_own"),
    ):
        assert title in text and said in text, title
    figures = [a["aria-label"] or "" for a in page.all("figure") if a.get("aria-label")]
    (gan,) = [f for f in figures if f.startswith("Gradient norms of gan")]
    assert "discriminator ends at 0.50" in gan and "generator ends at 1.50" in gan
    (varied,) = [f for f in figures if f.startswith("Diversity of gan")]
    assert "samples of fixed seeds ends at 4.50, samples of a training batch ends at 5.5" in varied
    bare = made.comparison()
    for run in bare["runs"]:
        del run["vitals"]  # of a page whose content was kept
    assert "Was training stable?" not in Page(render(bare)).text


def test_the_health_of_other_seeds_is_below():
    content = made.comparison(("gan", "vae"), 2)
    page = Page(render(content))
    assert page.wrong == [] and "The same of the other runs" in page.text
    labels = [a.get("aria-label") or "" for a in page.all("figure")]
    assert len([label for label in labels if label.startswith("Gradient norms of gan")]) == 2
    assert "seed 1" in page.text.split("The same of the other runs")[1]


def test_quality_against_steps_is_a_curve_and_a_table():
    assert "Quality against steps" not in Page(render(made.comparison(("gan", "vae")))).text
    content = made.comparison(("gan", "vae", "flow"))
    content["verdicts"][2]["sample_options"] = {"solver": "heun", "steps": 16}
    page = Page(render(content))
    assert page.wrong == []
    part = page.text.split("Quality against steps")[1].split("Does it copy")[0]
    assert part.startswith(" A dot is the value") and "flow" in part and "gan" not in part
    assert "solver heun" in part and "From 4 steps on, no more of them is shown to help." in part
    for shown in (
        "real against real 0.0004",
        "n = 500",
        "4 0.0210 0.0170 \u2013 0.0250 6 8.4 ms",
        "1 step",
    ):
        assert shown in part, shown
    labels = [a.get("aria-label") or "" for a in page.all("figure")]
    (told,) = [label for label in labels if label.startswith("KID of flow against steps")]
    assert "1.2000 at 1, 0.3000 at 2" in told
    assert len([a for a in page.all("line") if a.get("class") == "spot"]) == 4
    assert len([a for a in page.all("line") if a.get("class") == "floor"]) == 2  # and the key


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.2, 0.3, 0.1), "The last count is the best: more steps may still help."),
        ((0.1, 0.1, 0.1), "From 1 step on, no more of them is shown to help."),
        ((0.1, 0.3, 0.6), "Best at 1 step: more of them do worse."),
        ((0.5,), "One count of steps says nothing of others."),
    ],
)
def test_what_a_curve_of_steps_shows_is_said(values, said):
    verdict = made.verdict("flow")
    verdict["steps_curve"] = made.steps_curve(values)
    page = Page(render(verdict))
    assert page.wrong == [] and said in page.text


def test_curves_of_steps_share_their_scale():
    content = made.comparison(("vae", "flow"))
    for verdict, top in zip(content["verdicts"], (8.0, 0.5)):
        verdict["steps_curve"] = made.steps_curve((top, 0.1))
    part = Page(render(content)).text.split("Quality against steps")[1]
    assert part.count("KID 8.00") == 2 and part.count("0.0040 or less") == 2


MEASURED = {
    "pixel_difference": "Difference of pixels",
    "psnr": "PSNR",
    "feature_distance[encoder]": "Distance of features",
    "retrieval@1": "Caption found first",
    "retrieval@5": "Caption among five",
    "mig": "MIG",
    "sap": "SAP",
    "dci_disentanglement": "Disentanglement (DCI)",
    "dci_completeness": "Completeness (DCI)",
    "dci_informativeness": "Informativeness (DCI)",
}


@pytest.mark.parametrize("name", MEASURED)
def test_measures_of_conditions_and_codes_have_plain_words(name):
    verdict = made.verdict("flow")
    verdict["estimates"] = [Estimate(name, 0.5, 0.4, 0.6, 90, "an id", "higher").as_dict()]
    text = Page(render(verdict)).text
    words = measure(name)
    assert words.title == MEASURED[name] and words.title in text and words.plain in text
    assert words.plain.count(".") >= 1 and words.question != words.title
    assert name.replace("_", " ").capitalize() not in text or name in ("mig", "psnr")


def test_what_needs_no_features_is_believed_without_them():
    content = made.comparison(("gan", "vae"), trusted=False)
    for verdict, low in zip(content["verdicts"], (0.1, 0.6)):
        verdict["estimates"] = [
            Estimate(name, low + 0.1, low, low + 0.2, 90, "an id", "higher").as_dict()
            for name in MEASURED
        ]
    content["table"] = compare_verdicts(content["verdicts"])
    text = Page(render(content)).text
    assert text.count("vae is best.") == len(MEASURED) - 1
    assert text.count("No conclusion: these features cannot be trusted") == 1


@pytest.mark.parametrize(("cores", "said"), [(1, "a processor, 1 core "), (2, "2 cores")])
def test_one_core_is_singular(cores, said):
    content = made.comparison(("gan", "flow"))
    for run in content["runs"]:
        run["environment"]["cores"] = cores
    assert said in f"{Page(render(content)).text} "


def test_overlap_is_no_difference_and_a_gap_is_a_winner(page):
    assert "No difference shown between gan and flow; vae is shown to be worse." in page.text
    assert "flow is best." in page.text  # coverage


def test_closeness_to_real_data_and_to_the_trivial_generator_is_said():
    content = made.comparison(("gan", "vae"))
    text = Page(render(content)).text
    assert "vae is as good as real data here." in text  # precision, label accuracy
    assert "not shown to be better than the trivial" not in text
    for verdict in content["verdicts"]:
        for estimate in verdict["estimates"]:
            if estimate["name"] == "coverage":
                estimate["trivial"] = 0.65
    content["table"] = compare_verdicts(content["verdicts"])
    assert "vae is not shown to be better than the trivial generator." in Page(render(content)).text


def test_nobody_wins_who_is_not_better_than_the_trivial_generator():
    content = made.comparison(("gan", "vae"))
    assert "Covers most of the data gan" in Page(render(content)).text
    for verdict in content["verdicts"]:
        for estimate in verdict["estimates"]:
            if estimate["name"] == "coverage":
                estimate["trivial"] = 0.8
    content["table"] = compare_verdicts(content["verdicts"])
    text = Page(render(content)).text
    assert "Covers most of the data None yet Coverage 71.0 %" in text
    assert "gan and vae are not shown to be better than the trivial generator." in text


@pytest.mark.parametrize(("seeds", "said"), [(1, True), (2, True), (3, False)])
def test_too_few_seeds_are_said(seeds, said):
    text = Page(render(made.comparison(("gan", "flow"), seeds))).text
    assert ("A claim about a family needs at least 3 seeds" in text) == said
    assert ("not about the families" in text) == said


def test_copies_are_said_loudly():
    content = made.comparison(("gan", "flow"))
    content["verdicts"][0] = made.verdict("gan", copies="fail")
    page = Page(render(content))
    assert "Copies of training items: gan" in page.text
    assert "copies training items" in page.text
    classes = [a["class"] for a in page.all("span") if (a.get("class") or "").startswith("badge")]
    assert classes.count("badge bad") == 2  # beside its samples, and in the section on copies
    clean = Page(render(made.comparison(("gan", "flow"))))
    assert "No copies found" in clean.text and "Copies of training items: " not in clean.text


@pytest.mark.parametrize(("found", "said"), [("fail", "Copies of"), ("refused", "Not tested for")])
def test_one_bad_seed_spoils_its_family(found, said):
    verdicts = [made.verdict("flow", 0), made.verdict("flow", 1, copies=found)]
    content = {"verdicts": verdicts, "table": compare_verdicts(verdicts), "runs": []}
    text = Page(render(content)).text
    assert said in text and "no copies found" not in text.lower()


def test_a_refused_test_for_copies_is_no_pass():
    text = Page(render(made.verdict("flow", copies="refused"))).text
    assert "Not tested for copies: flow" in text and "the test needs 160 items, not 90." in text
    assert "No copies found" not in text


def test_untrusted_features_allow_no_conclusion():
    content = made.comparison(("gan", "vae", "flow"), trusted=False)
    text = Page(render(content)).text
    assert "The yardstick cannot be trusted" in text and "fail on noise and blur" in text
    assert "Not answered" in text
    assert "No conclusion: these features cannot be trusted on these data." in text
    assert "shown to be worse" not in text.split("Label accuracy")[0]
    assert "No conclusion" not in Page(render(made.comparison())).text


def test_failures_warnings_alarms_and_refusals_are_told():
    content = made.comparison(("gan", "flow"))
    content["failed"] = [{"family": "vae", "seed": 1, "kind": "Diverged", "message": "nan at 3"}]
    content["warnings"] = ["the budgets differ"]
    content["verdicts"][1]["warnings"] = ["the judge is right about 70 % only"]
    content["runs"][0]["alarms"] = [{"step": 420, "alarm": "collapse", "message": "too alike"}]
    text = Page(render(content)).text
    for told in (
        "vae, seed 1, failed",
        "nan at 3",
        "The budgets differ.",
        "The judge is right about 70 % only.",
        "step 420: too alike",
        "a GAN has no likelihood",
    ):
        assert told in text, told


def test_a_single_verdict_is_a_page():
    page = Page(render(made.verdict("flow")))
    assert page.wrong == []
    assert "flow on glyphs" in page.text and "What it is good at" in page.text
    assert "is best" not in page.text
    assert 'use = "flow"' in page.text  # its recipe


def test_same_family_with_other_recipes_is_named_by_run():
    one, two = made.verdict("flow", 0), made.verdict("flow", 1)
    two["group"] = "another"
    content = {"verdicts": [one, two], "table": compare_verdicts([one, two]), "runs": []}
    text = Page(render(content)).text
    assert "flow-seed0" in text and "flow-seed1" in text


@pytest.mark.parametrize("kind", ["text", "points"])
def test_other_kinds_of_items(kind):
    verdict = made.verdict("flow")
    some = ["to be or not", "<i>that</i> is"] if kind == "text" else [[0.1, 0.2], [1.0, -1.0]]
    verdict["items"] = {"kind": kind, "shape": [12 if kind == "text" else 2], "form": "lossless"}
    verdict["pictures"] = {"kind": kind, "samples": some, "real": some}
    for pair in verdict["copies"]["pairs"]:
        pair["generated_item"], pair["train_item"] = some
    page = Page(render(verdict))
    assert page.wrong == []
    assert not page.all("img") and not page.all("i")
    if kind == "text":
        assert "to be or not" in page.text and "<i>that</i> is" in page.text
    else:
        assert len(page.all("circle")) == 4


def test_neither_verdict_nor_comparison_is_refused():
    with pytest.raises(BadInput, match="neither a verdict nor a comparison"):
        render({"name": "x"})


def tainted(content, taint: str):
    """A copy in which every free string is the taint, after its own text."""
    free = {
        "name", "run", "message", "reason", "processor", "system", "trained_on", "trivial", "id",
        "recipe_toml", "alarm", "family", "precision", "fingerprint", "model", "commit", "unit",
        "genloom", "python", "damage", "text",
    }  # fmt: skip

    def walk(value, key=""):
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        if isinstance(value, str) and (key in free or key in ("warnings", "failures", "devices")):
            return value + taint
        return value

    verdicts = walk(content["verdicts"])
    for verdict in verdicts:
        for estimate, clean in zip(verdict["estimates"], content["verdicts"][0]["estimates"]):
            estimate["name"] = estimate["name"].removesuffix(taint)
            estimate["unit"] = clean["unit"] and estimate["unit"]
        verdict["refused"] = {k: v + taint for k, v in verdict["refused"].items()}
        verdict["extractor"]["name"] = "encoder"
        verdict["recipe"] = {"data": {"source": taint}, "model": {"use": taint}}
        verdict["sample_options"] = {"solver": taint}
    rest = {k: walk(v, k) for k, v in content.items() if k not in ("verdicts", "table")}
    for run, clean in zip(rest["runs"], content["runs"]):
        run["run"] = clean["run"] + taint
        for curve in (*run["curves"], *run["vitals"]):
            assert curve["name"].endswith(taint)
    return {**rest, "verdicts": verdicts, "table": compare_verdicts(verdicts)}


def test_no_string_becomes_markup():
    content = made.comparison(("gan", "vae", "flow"))
    content["failed"] = [{"family": "vae", "seed": 1, "kind": "Diverged", "message": "nan"}]
    content["runs"][0]["alarms"] = [{"step": 1, "alarm": "collapse", "message": "alike"}]
    content["verdicts"][0]["warnings"] = ["few"]
    content["runs"][2]["vitals"][1]["name"] = "health/name"
    plain = Page(render(tainted(content, "Z")))
    bad = Page(render(tainted(content, TAINT)))
    assert bad.wrong == []
    assert bad.shape == plain.shape
    shown = " ".join(TAINT.split())
    assert bad.text.count(shown) > 40  # it is there to be read, at every place
    assert "<b>x</b>" not in render(tainted(content, TAINT))


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,PHN2Zz4=",
        'data:image/png;base64,AAAA" onerror="alert(1)',
        "data:image/png;base64,",
        "data:image/png;base64,PGI+",
        None,
        7,
    ],
)
def test_only_pixels_inside_the_page_are_shown(uri):
    verdict = made.verdict("flow")
    verdict["pictures"]["samples"] = uri
    verdict["copies"]["pairs"][0]["generated_item"] = uri
    page = Page(render(verdict))
    assert len(page.all("img")) == 1 + 2 * 7  # real items, and the seven good pairs
    assert all((a["src"] or "").startswith("data:image/png;base64,iVBOR") for a in page.all("img"))


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """WCAG 2.2, 1.4.3."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_has_contrast(scheme):
    css = (Path(genloom.report.__file__).parent / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    assert len(colors) == len(dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0])))
    inks = ["ink", "soft", "link", *(f"f{i}" for i in range(9))]
    pairs = [(ink, ground) for ink in inks for ground in ("paper", "card")]
    pairs += [(tone, f"{tone}-paper") for tone in ("good", "warn", "bad")]
    pairs += [("ink", f"{tone}-paper") for tone in ("good", "warn", "bad")] + [("good", "card")]
    poor = {p: round(contrast(*(colors[c] for c in p)), 2) for p in pairs}
    assert {p: c for p, c in poor.items() if c < 4.5} == {}
