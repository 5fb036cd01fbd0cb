"""Policies: what a server lets in and out, as typed verdicts of filters that fail closed."""

from __future__ import annotations

from genloom.safety.policy.policy import FILTERS, Policy
from genloom.safety.policy.verdict import Counters, Decision, Filter, Outcome, Verdict

__all__ = ["FILTERS", "Counters", "Decision", "Filter", "Outcome", "Policy", "Verdict"]
