"""Measures: functions of two sets of items or features, each with its interval and its name."""

from __future__ import annotations

from genloom.metrics.estimate import Estimate

__all__ = ["Estimate"]
