"""A diffusers pipeline behind FastAPI, written three ways: POST /generate gives one PNG.

"lock" is the tutorials' form: one pipeline, one lock. "threads" is what a careful developer makes
of it: a scheduler of each request's own (theirs hold state), and as many requests at once as there
are cores. "batches" is the most that its interface allows: one thread that lets the requests which
wait, 2 ms at least, share one call of the pipeline.

    python -m benchmarks.peers.diffusers_server FOLDER --form batches --port 8001 --threads 1
"""

from __future__ import annotations

import argparse
import io
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import torch
import uvicorn
from diffusers import DDIMPipeline, DDIMScheduler
from fastapi import FastAPI, Response
from PIL import Image
from pydantic import BaseModel

MOST, WAIT_S = 32, 0.002  # pictures of a batch, and how long the first waits for company
Draw = Callable[[int, int], Image.Image]  # (steps, seed)


class Asked(BaseModel):
    """The body of a request."""

    steps: int = 16
    seed: int = 0


def draw_many(pipeline: DDIMPipeline, steps: int, seeds: list[int]) -> list[Image.Image]:
    """One call of the pipeline."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    done: Any = pipeline(batch_size=len(seeds), generator=generators, num_inference_steps=steps)
    return done.images


def locked(pipeline: DDIMPipeline) -> Draw:
    """One request after the other."""
    lock = threading.Lock()

    def draw(steps: int, seed: int) -> Image.Image:
        with lock:
            return draw_many(pipeline, steps, [seed])[0]

    return draw


def threaded(pipeline: DDIMPipeline) -> Draw:
    """As many at once as there are cores, each with a scheduler of its own."""
    room = threading.BoundedSemaphore(os.cpu_count() or 1)

    def draw(steps: int, seed: int) -> Image.Image:
        scheduler: Any = DDIMScheduler.from_config(pipeline.scheduler.config)
        own = DDIMPipeline(unet=pipeline.unet, scheduler=scheduler)
        own.set_progress_bar_config(disable=True)
        with room:
            return draw_many(own, steps, [seed])[0]

    return draw


def batched(pipeline: DDIMPipeline) -> Draw:
    """Those that wait and want as many steps share a batch."""
    waiting: queue.SimpleQueue[tuple[int, int, Future[Image.Image]]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            jobs = [waiting.get()]
            time.sleep(WAIT_S)
            while len(jobs) < MOST and not waiting.empty():
                jobs.append(waiting.get())
            for steps in sorted({job[0] for job in jobs}):
                same = [job for job in jobs if job[0] == steps]
                pictures = draw_many(pipeline, steps, [seed for _, seed, _ in same])
                for (_, _, future), picture in zip(same, pictures, strict=True):
                    future.set_result(picture)

    def draw(steps: int, seed: int) -> Image.Image:
        future: Future[Image.Image] = Future()
        waiting.put((steps, seed, future))
        return future.result()

    threading.Thread(target=work, daemon=True).start()
    return draw


FORMS = {"lock": locked, "threads": threaded, "batches": batched}


def create_app(draw: Draw) -> FastAPI:
    """The app; its route runs in the framework's threads."""
    app = FastAPI()

    @app.post("/generate")
    def generate(body: Asked) -> Response:
        """One picture."""
        file = io.BytesIO()
        draw(body.steps, body.seed).save(file, format="PNG")
        return Response(file.getvalue(), media_type="image/png")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--form", choices=sorted(FORMS), default="lock")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pipeline = DDIMPipeline.from_pretrained(given.folder)
    pipeline.set_progress_bar_config(disable=True)
    app = create_app(FORMS[given.form](pipeline))
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
