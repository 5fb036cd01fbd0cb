"""What each measure is called, the question it answers, and one plain sentence about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """How a measure is presented.

    Args:
        title: Its name in the table.
        question: What a person wants to know.
        plain: One sentence without jargon: what it does and how to read it.
        rank: Where it stands on the page; the lower, the earlier.
        headline: Whether the summary answers its question.
        percent: Shown as a share of a hundred.
    """

    title: str
    question: str
    plain: str
    rank: int
    headline: bool = False
    percent: bool = False


MEASURES = {
    "kid": Measure(
        "KID",
        "Looks most like the data",
        "How far the crowd of samples lies from the crowd of unseen real items, in the features "
        "named below; 0 is no distance, and chance can push it a little under 0.",
        10,
        headline=True,
    ),
    "frechet": Measure(
        "Fréchet distance",
        "Nearest in mean and spread",
        "The distance between samples and unseen real items when each crowd is summed up by its "
        "mean and its spread; it shrinks as n grows, so compare it at equal n only.",
        11,
    ),
    "two_sample": Measure(
        "Two-sample test",
        "Hardest to tell from real",
        "How often a fresh classifier tells a sample from a real item; 50 % is guessing, 100 % "
        "means that every sample gives itself away.",
        20,
        percent=True,
    ),
    "precision": Measure(
        "Precision",
        "Most samples are plausible",
        "The share of samples that lie where real items lie.",
        30,
        percent=True,
    ),
    "density": Measure(
        "Density",
        "Samples in crowded places",
        "How crowded with real items the places of the samples are; 1 is as crowded as those of "
        "real items.",
        31,
    ),
    "recall": Measure(
        "Recall",
        "Reaches the rare items",
        "The share of real items that lie where samples lie.",
        33,
        percent=True,
    ),
    "coverage": Measure(
        "Coverage",
        "Covers most of the data",
        "The share of real items that have a sample close by; low where kinds of items are "
        "missing.",
        32,
        headline=True,
        percent=True,
    ),
    "label_accuracy": Measure(
        "Label accuracy",
        "Makes what you ask for",
        "The share of samples in which a judge, that no model has seen, finds the class that was "
        "asked for.",
        40,
        headline=True,
        percent=True,
    ),
    "diversity": Measure(
        "Diversity",
        "As varied as the data",
        "How far samples lie from each other, relative to real items; 1 is as varied as the data, "
        "near 0 all samples are alike.",
        50,
    ),
    "class_kl": Measure(
        "Class balance",
        "Every class in its share",
        "How far the classes of the samples are from their shares in the data; 0 is equal.",
        51,
    ),
    "FID": Measure(
        "FID",
        "Nearest in Inception's features",
        "The Fréchet distance in the features of the usual Inception network, whose weights you "
        "supplied; it shrinks as n grows, so compare it at equal n only.",
        9,
    ),
    "IS": Measure(
        "IS",
        "Clear and varied classes",
        "High where the usual Inception network is sure of each sample and all classes occur; it "
        "never looks at the real items.",
        60,
    ),
    "classifier_score": Measure(
        "Inception-style score",
        "Clear and varied classes",
        "High where a classifier is sure of each sample and all classes occur; it never looks at "
        "the real items, so it cannot see copies or blemishes.",
        60,
    ),
    "bits_per_dim": Measure(
        "Bits per dimension",
        "Best likelihood",
        "How many bits the model needs for one value of an unseen item; 8 is knowing nothing of "
        "a byte. Exact values, bounds and estimates are named as such.",
        15,
        headline=True,
    ),
    "bits_per_char": Measure(
        "Bits per character",
        "Best likelihood",
        "How many bits the model needs for one character of unseen text.",
        15,
        headline=True,
    ),
    "nll": Measure(
        "Negative log-likelihood",
        "Best likelihood",
        "How surprised the model is by an unseen item, in nats of a density.",
        15,
        headline=True,
    ),
    "copies": Measure(
        "Copies of training items",
        "Copies least",
        "The share of samples that lie far nearer to a training item than unseen items do.",
        70,
        percent=True,
    ),
    "distinct_4": Measure(
        "Different runs",
        "Richest wording",
        "The share of different runs of four characters; as in the data is right.",
        52,
        percent=True,
    ),
    "repetition": Measure(
        "Repetition",
        "Repeats itself like the data",
        "The share of runs of characters that occurred before in the same text.",
        53,
        percent=True,
    ),
}

ARROWS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "closer": "closer to real is better",
}


def measure(name: str) -> Measure:
    """How to present a measure; one that is not known is presented by its name."""
    title = name.replace("_", " ")
    return MEASURES.get(name) or Measure(title.capitalize(), title.capitalize(), "", 65)
