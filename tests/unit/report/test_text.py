"""A text's measures on the page: baselines beside a likelihood, new draws beside copies."""

from __future__ import annotations

import pytest

from genloom.metrics.estimate import Estimate
from genloom.metrics.league import compare_verdicts
from genloom.report import render
from genloom.report.terminal import table_of
from genloom.report.words import measure
from tests.unit.report import made
from tests.unit.report.page import Page

BASELINES = {"gzip -9": 3.12, "xz -9e": 2.55, "5-gram": 2.6}


def compared(*values):
    """A comparison of families that need so many bits per byte, each give or take 0.1."""
    verdicts = [made.verdict(family) for family, _ in zip(("gan", "vae"), values)]
    for verdict, bits in zip(verdicts, values):
        estimate = Estimate(
            "bits_per_byte", bits, bits - 0.1, bits + 0.1, 90, "exact; as stored", tag="exact",
            unit="bits/byte", baselines=BASELINES,
        )  # fmt: skip
        verdict["estimates"].append(estimate.as_dict())
    return {
        "verdicts": verdicts,
        "table": compare_verdicts(verdicts),
        "runs": [],
        "failed": [],
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((2.3,), "It is better than all of these."),
        ((2.5,), "Not shown to be better than xz -9e (2.55)."),
        ((2.3, 2.7), "gan is better than all of these."),
        ((2.3, 2.2), "gan and vae are better than all of these."),
    ],
)
def test_compressors_and_the_n_gram_are_beside_a_likelihood(values, said):
    content = compared(*values)
    text = Page(render(content)).text
    assert "Beside it: xz -9e (2.55), 5-gram (2.60) and gzip -9 (3.12)." in text
    assert said in text
    assert "bits_per_byte of others: xz -9e (2.55), 5-gram (2.60), gzip -9 (3.12)" in table_of(
        content
    )


def test_other_measures_have_none():
    verdict = made.verdict("flow")
    assert all("baselines" not in estimate for estimate in verdict["estimates"])
    assert "Beside it:" not in Page(render(verdict)).text


def test_copies_of_short_documents_are_beside_new_draws():
    verdict = made.verdict("flow", copies="fail")
    plain = Page(render(verdict)).text
    verdict["copies"]["expected"] = 0.159
    text = Page(render(verdict)).text
    said = "of new documents, some of which the training part holds already, 15.9 %"
    assert said in text and said not in plain


@pytest.mark.parametrize("name", ["longest_match", "self_bleu", "verse_form", "verse_rhyme"])
def test_measures_of_text_have_plain_words(name):
    verdict = made.verdict("flow", trusted=False)
    verdict["estimates"] = [Estimate(name, 0.5, 0.4, 0.6, 90, "an id", floor=0.45).as_dict()]
    text, words = Page(render(verdict)).text, measure(name)
    assert words.title in text and words.plain in text and words.plain.endswith(".")
    assert words.title != name.replace("_", " ").capitalize()
    assert "As good as real data here." in text  # it needs no features
