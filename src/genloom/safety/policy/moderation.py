"""A decision in the shape of OpenAI's moderations.

A filter whose category is one of the thirteen speaks for that category. Every other filter speaks
for a category of ours, "genloom/" and its word, which stands beside the thirteen; so `flagged` is
true exactly where a category is. A category that no filter covers is false, scores 0 and lists no
input type: nobody looked, and nothing else is meant.
"""

from __future__ import annotations

from typing import Any

from genloom.safety.policy.verdict import Decision, Verdict

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
OWN = "genloom/"


def result(decision: Decision) -> dict[str, Any]:
    """One entry of `results`: flagged, categories, scores, and what each score applies to.

    A filter that failed flags its category, with its score of 0.
    """
    flags: dict[str, bool] = {name: False for name in CATEGORIES}
    scores: dict[str, float] = {name: 0.0 for name in CATEGORIES}
    applied: dict[str, list[str]] = {name: [] for name in CATEGORIES}
    for outcome in decision.outcomes:
        name = outcome.category if outcome.category in flags else OWN + outcome.category
        flags[name] = flags.get(name, False) or outcome.verdict is not Verdict.ALLOW
        scores[name] = max(scores.get(name, 0.0), float(outcome.score))
        kinds = applied.setdefault(name, [])
        if outcome.applied not in kinds:
            kinds.append(outcome.applied)
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }
