"""What jobs show besides their state: curves and samples of trainings, verdicts and close pairs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from genloom.serve import trainings, verdicts
from genloom.serve.guard import allow
from genloom.serve.services import Services, services
from genloom.serve.store import Job, NotFound

router = APIRouter(prefix="/v1/jobs/{job_id}")


@router.get("/curves")
def curves(
    request: Request, job_id: str, points: Annotated[int, Query(ge=2, le=2000)] = 300
) -> dict[str, Any]:
    """Figures of a training, at most `points` of each; they grow while it runs."""
    parts, job = _asked(request, job_id)
    return trainings.curves(trainings.run_of(parts.folders, job), points)


@router.get("/samples")
def samples(request: Request, job_id: str) -> dict[str, Any]:
    """The sheets of samples that a training has drawn."""
    parts, job = _asked(request, job_id)
    found = trainings.samples(trainings.run_of(parts.folders, job))
    data = [
        {"step": step, "media_type": kind, "url": f"/v1/jobs/{job.id}/samples/{step}"}
        for step, kind in found
    ]
    return {"data": data}


@router.get("/samples/{step}")
def sample(request: Request, job_id: str, step: int) -> Response:
    """One sheet: a picture, or text."""
    parts, job = _asked(request, job_id)
    content, kind = trainings.sheet(trainings.run_of(parts.folders, job), step)
    return Response(content, media_type=kind, headers={"content-disposition": "inline"})


@router.get("/report")
def report(request: Request, job_id: str) -> dict[str, Any]:
    """The verdict or the comparison that a job came to."""
    _, job = _asked(request, job_id)
    return dict(_judged(job).result or {})


@router.get("/pairs")
def pairs(request: Request, job_id: str) -> dict[str, Any]:
    """The samples that are nearest to training items, each beside the item."""
    parts, job = _asked(request, job_id)
    return {"data": verdicts.pairs(parts.folders, _judged(job).id)}


def _asked(request: Request, job_id: str) -> tuple[Services, Job]:
    caller, parts = allow(request, "generate"), services(request)
    return parts, parts.jobs.get(caller.id, job_id)


def _judged(job: Job) -> Job:
    if job.kind not in ("evaluate", "compare") or job.state != "succeeded":
        raise NotFound("report")
    return job
