"""Requests that a machine makes up from the server's own description never make it fail."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def _fuzz(document: dict, url: str, secret: str, cases: int) -> None:
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 25
    headers = {"Authorization": f"Bearer {secret}"}
    kept = [one for one in operations if not one.path.endswith("/events")]

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(kept).flatmap(lambda one: one.as_strategy()))
    def check(case):
        answer = case.call(base_url=url, timeout=30, headers=headers)
        assert answer.status_code < 500, (case.method, case.path, case.body, answer.text[:300])

    check()


def test_three_hundred_made_up_requests(document, guarded):
    _fuzz(document, guarded[0].url, guarded[1]["fuzz"], 300)


@pytest.mark.slow
def test_ten_thousand_made_up_requests(document, guarded):
    _fuzz(document, guarded[0].url, guarded[1]["fuzz"], 10_000)
