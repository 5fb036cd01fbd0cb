"""What operators look at: life, readiness, figures; and the studio's front page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

from genloom.serve.engine.worker import resident
from genloom.serve.figures import Histogram
from genloom.serve.guard import allow
from genloom.serve.services import Services, services
from genloom.studio import FOLDER

router = APIRouter()


@router.get("/")
def page() -> Response:
    """The studio."""
    return FileResponse(FOLDER / "index.html", media_type="text/html; charset=utf-8")


@router.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(request: Request) -> Response:
    """A worker has made a real sample, and requests are taken."""
    fine = services(request).pool.ready
    return JSONResponse({"ready": fine}, 200 if fine else 503)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Figures in Prometheus' text form."""
    allow(request, "generate")
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Figures(services(request)))  # pyright: ignore[reportArgumentType]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures:
    """A collector over what the parts count themselves."""

    def __init__(self, parts: Services):
        self.parts = parts

    def collect(self) -> Any:
        """Every family of figures."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        stats = self.parts.pool.stats()
        for name in ("waiting", "running", "queue"):
            yield GaugeMetricFamily(f"genloom_requests_{name}", f"Requests: {name}.", stats[name])
        for name in ("rejected", "deaths"):
            yield CounterMetricFamily(f"genloom_{name}", f"Since the start: {name}.", stats[name])
        loaded = GaugeMetricFamily("genloom_model_bytes", "Weights.", labels=["worker", "model"])
        held = GaugeMetricFamily("genloom_resident_bytes", "Memory of a process.", labels=["name"])
        for i, worker in enumerate(stats["workers"]):
            held.add_metric([f"worker-{i}"], worker["rss"])
            for model, size in worker["models"].items():
                loaded.add_metric([str(i), model], size)
        held.add_metric(["server"], resident())
        yield loaded
        yield held
        jobs = GaugeMetricFamily("genloom_jobs", "Jobs by state.", labels=["state"])
        for state, count in self.parts.jobs.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        yield from self._answers()
        verdicts = CounterMetricFamily(
            "genloom_verdicts", "Of filters.", labels=["filter", "verdict"]
        )
        policy = self.parts.policy
        for (name, verdict), count in (policy.counters.snapshot() if policy else {}).items():
            verdicts.add_metric([name, verdict], count)
        yield verdicts

    def _answers(self) -> Any:
        from prometheus_client.core import CounterMetricFamily

        figures = self.parts.figures
        answers = CounterMetricFamily("genloom_answers", "By route.", labels=["route", "status"])
        for (route, status), count in list(figures.answers.items()):
            answers.add_metric([route, str(status)], count)
        yield answers
        refused = CounterMetricFamily(
            "genloom_model_rejected", "By a full queue.", labels=["model"]
        )
        for model, count in list(figures.model_rejected.items()):
            refused.add_metric([model], count)
        yield refused
        yield _histogram("genloom_seconds", "Until an answer's end.", "route", figures.seconds)
        yield _histogram(
            "genloom_model_seconds", "Until samples are recorded.", "model", figures.model_seconds
        )
        yield _histogram(
            "genloom_model_batch_size", "Samples made together.", "model", figures.model_rows
        )


def _histogram(name: str, about: str, label: str, kept: Histogram) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, about, labels=[label])
    for key in list(kept.counts):
        family.add_metric([key], kept.cumulated(key), kept.sums[key])
    return family
