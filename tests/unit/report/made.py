"""Verdicts and comparisons that are made up, in the very form that the evaluator gives them."""

from __future__ import annotations

import hashlib

import torch

from genloom.metrics.estimate import Estimate
from genloom.metrics.league import compare_verdicts
from genloom.metrics.pictures import grid, png

FEATURES = "encoder64@0123456789ab; uint8; area to at most 64; float64"
FIGURES = {
    # name: better, floor, trivial, half width, unit, {family: value}
    "frechet": ("lower", 0.61, 38.0, 0.4, "", {"gan": 4.1, "vae": 9.7, "flow": 3.8}),
    "kid": ("lower", 0.0004, 1.9, 0.004, "", {"gan": 0.021, "vae": 0.055, "flow": 0.019}),
    "precision": ("higher", 0.93, 0.02, 0.02, "", {"gan": 0.88, "vae": 0.93, "flow": 0.84}),
    "coverage": ("higher", 0.95, 0.01, 0.02, "", {"gan": 0.71, "vae": 0.62, "flow": 0.88}),
    "two_sample": ("lower", 0.5, 0.99, 0.02, "", {"gan": 0.71, "vae": 0.88, "flow": 0.7}),
    "diversity": ("closer", 1.0, 1.6, 0.015, "", {"gan": 0.95, "vae": 0.86, "flow": 1.01}),
    "label_accuracy": ("higher", 0.97, 0.6, 0.012, "", {"gan": 0.95, "vae": 0.97, "flow": 0.91}),
    "bits_per_dim": ("lower", None, 2.9, 0.03, "bits/dim", {"vae": 1.84, "autoregressive": 1.31}),
    "copies": ("lower", 0.004, None, 0.004, "", {"gan": 0.005, "vae": 0.004, "flow": 0.006}),
}


def estimates(family: str, shift: float = 0.0, n: int = 1000) -> list[dict]:
    """What the evaluator would have measured of a family."""
    found = []
    for name, (better, floor, trivial, half, unit, values) in FIGURES.items():
        if family not in values:
            continue
        value = values[family] + shift * half
        tag = {"vae": "bound", "autoregressive": "exact"}[family] if unit else ""
        id = f"{tag}; items as stored" if tag else FEATURES
        found.append(
            Estimate(
                name, value, value - half, value + half, n, id, better, unit, tag, floor, n, trivial
            ).as_dict()
        )
    return found


def verdict(
    family: str = "flow",
    seed: int = 0,
    *,
    copies: str = "pass",
    trusted: bool = True,
    items: torch.Tensor | None = None,
    data: str = "glyphs",
) -> dict:
    """A verdict of one run."""
    generator = torch.Generator().manual_seed(seed)
    if items is None:
        items = torch.randint(0, 256, (16, 1, 6, 6), generator=generator, dtype=torch.uint8)
    group = hashlib.sha256(family.encode()).hexdigest()[:12]
    rungs = [("noise", (0.001, 0.4, 1.2)), ("blur", (0.001, 0.3, 0.9))]
    ladder = [{"damage": d, "values": list(v), "passed": trusted} for d, v in rungs]
    ladder.append({"damage": "copies", "values": [0.4, 1e-9], "passed": True})
    return {
        "format": 1,
        "name": family,
        "run": f"{family}-seed{seed}",
        "model": "ab" * 32,
        "group": group,
        "train_seed": seed,
        "recipe": {"data": {"source": data}, "model": {"use": family}, "train": {"seed": seed}},
        "training": {"steps": 700, "seconds": 61.0, "alarms": []},
        "conditions": {"data": "d" * 64, "split": "test", "n": 1000, "extractor": FEATURES},
        "data": {"name": data, "fingerprint": "d" * 64},
        "split": "test",
        "n": 1000,
        "floor_n": 1000,
        "seed": 0,
        "sample_seeds": [0, 999],
        "sample_options": {"steps": 16},
        "items": {"kind": "image", "shape": list(items.shape[1:]), "form": "lossless"},
        "trivial": "every entry drawn independently from a training item of the same class",
        "extractor": {
            "name": "encoder",
            "id": FEATURES,
            "hash": "0123456789ab",
            "trained_on": "e" * 64,
            "split": "train",
            "seconds": 21.5,
            "ladder": ladder,
            "trusted": trusted,
        },
        "judge": {"id": "judge@ba9876543210", "accuracy": 0.981, "seconds": 12.0},
        "p_value": 1e-9,
        "seconds": {"bench": 30.0, "sampling": {"gan": 0.4}.get(family, 8.0), "all": 45.0},
        "passed": trusted and copies == "pass",
        "failures": [],
        "warnings": [],
        "estimates": estimates(family, shift=0.3 * seed),
        "refused": {} if family != "gan" else {"bits_per_dim": "a GAN has no likelihood"},
        "copies": _copies(copies, items),
        "pictures": {"kind": "image", "samples": png(grid(items)), "real": png(grid(items))},
        **({"steps_curve": steps_curve()} if family == "flow" else {}),
    }


def _copies(found: str, items: torch.Tensor) -> dict:
    pairs = [
        {
            "generated": i,
            "train": 7 * i,
            "score": 0.1 + 0.05 * i,
            "distance": 3.0,
            "space": "pixels",
            "generated_item": png(items[i % len(items)]),
            "train_item": png(items[(i + 1) % len(items)]),
        }
        for i in range(8)
    ]
    if found == "refused":
        return {"verdict": found, "reason": "the test needs 160 items, not 90.", "pairs": pairs}
    return {
        "verdict": found,
        "share": 0.005 if found == "pass" else 0.07,
        "held_out_share": 0.004,
        "p_value": 0.5 if found == "pass" else 1e-11,
        "tests": [],
        "planted": {"share": 0.05, "detected": True, "p_value": 1e-12},
        "pairs": pairs,
    }


def steps_curve(values: tuple[float, ...] = (1.2, 0.3, 0.021, 0.019)) -> dict:
    """Quality against 1, 2, 4 ... steps."""
    points = [
        {
            "steps": 2**i, "evaluations": 1.5 * 2**i, "seconds": 0.0021 * 2**i, "value": value,
            "low": value - 0.004, "high": value + 0.004,
        }
        for i, value in enumerate(values)
    ]  # fmt: skip
    return {
        "name": "kid", "id": FEATURES, "n": 500, "floor": 0.0004, "floor_n": 1000, "points": points
    }  # fmt: skip


def vitals(family: str) -> list[dict]:
    """What a run tells of its health."""
    own = {
        "gan": ("discriminator/grad_norm", "generator/grad_norm", "health/overfit",
                "health/discriminator_gap", "health/diversity", "health/batch_diversity"),
        "vae": ("grad_norm", "health/posterior_nats"),
    }.get(family, ("grad_norm", "health/of_its_own"))  # fmt: skip
    return [
        {"name": name, "points": [[0.3 * i, k + 0.5 + 0.01 * (i % 7)] for i in range(50)]}
        for k, name in enumerate(own)
    ]


def run(family: str, seed: int = 0) -> dict:
    """What a run folder would have told."""
    steps = [(0.3 * i, 2.0 / (1 + i) + 0.3 + 0.02 * ((i * 7919) % 11)) for i in range(200)]
    names = ("discriminator/loss", "generator/loss") if family == "gan" else ("velocity",)
    return {
        "run": f"{family}-seed{seed}",
        "commit": "0" * 40,
        "curves": [
            {"name": name, "points": [[x, y + k] for x, y in steps]} for k, name in enumerate(names)
        ],
        "vitals": vitals(family),
        "environment": {
            "genloom": "0.1.0",
            "python": "3.11.2",
            "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
            "system": "Linux x86_64",
            "processor": "a processor",
            "cores": 2,
            "threads": 2,
            "memory_bytes": 8 * 2**30,
            "devices": ["cpu"],
        },
        "recipe_toml": "",
        "status": "done",
        "steps": 700,
        "seconds": 61.0,
        "precision": "float32",
        "batch": 128,
        "alarms": [],
    }


def comparison(
    families: tuple[str, ...] = ("gan", "vae", "flow", "autoregressive"), seeds: int = 1, **given
) -> dict:
    """A comparison of some families over some seeds."""
    verdicts = [verdict(f, k, **given) for f in families for k in range(seeds)]
    return {
        "format": 1,
        "verdicts": verdicts,
        "table": compare_verdicts(verdicts),
        "runs": [run(f, k) for f in families for k in range(seeds)],
        "budget": {"minutes": 1.0, "seeds": seeds},
        "made": "2031-02-03",
        "seconds": 312.0,
    }
