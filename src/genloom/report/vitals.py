"""What curves of a training say of its health, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vital:
    """How a sign of health in training is presented: one figure of one or more curves.

    Args:
        title: Of the figure.
        plain: What it shows and how it should look.
        names: What the figures of a model call themselves, name -> what the legend says.
    """

    title: str
    plain: str
    names: Mapping[str, str]


GRADIENTS = Vital(
    "Gradient norms",
    "The size of the gradients before clipping. A level that stays is healthy; growth, or spikes "
    "that come ever closer, are not.",
    {},
)
VITALS = (
    Vital(
        "Overfitting of the discriminator",
        "How surely it takes training data for real: 0 is half of them, 1 is all, and it then "
        "knows them by heart. An alarm rings where it stays over 0.97. Augmentation that adapts "
        "becomes likelier as this rises.",
        {"overfit": "sign of its certainty", "augment_p": "share that is augmented"},
    ),
    Vital(
        "Gap of the discriminator",
        "How far it tells real from generated, in logits. Near 0 the players are even; an alarm "
        "rings where it stays over 10.",
        {"discriminator_gap": "logits"},
    ),
    Vital(
        "Wasserstein estimate",
        "How far the critic tells data from samples, in units of the data. It is large at first "
        "and falls as the samples come nearer.",
        {"wasserstein": "estimate"},
    ),
    Vital(
        "Agreement with the preferences",
        "How far training has moved the model towards the chosen answers of a batch. The share of "
        "pairs that it moved the right way begins at 0 and rises to 1; the margin is the mean gain "
        "of the chosen answer over the rejected one, times beta.",
        {"reward_accuracy": "share of pairs", "reward_margin": "margin"},
    ),
    Vital(
        "Diversity",
        "How varied the samples are beside the data: 1 is as varied. An alarm rings where those of "
        "fixed seeds stay under 0.3: the generator has collapsed.",
        {"diversity": "samples of fixed seeds", "batch_diversity": "samples of a training batch"},
    ),
    Vital(
        "Information in the code",
        "How many nats the code tells of a datum. An alarm rings where it stays under 0.5: then "
        "the decoder does not listen.",
        {"posterior_nats": "nats"},
    ),
    Vital(
        "Use of the codebook",
        "The share of the codes that are in use. An alarm rings where it stays under 10 %.",
        {"codebook_perplexity_share": "share in use"},
    ),
    Vital(
        "Balance of the players",
        "How much of its effort the discriminator spends on samples; between 0 and 1 it still "
        "moves.",
        {"balance": "share"},
    ),
    Vital(
        "Convergence",
        "How far the reconstruction of data and the balance are from their goals; it should fall.",
        {"convergence": "distance"},
    ),
)
