"""The one training loop: rehearse, step, watch, save, roll back, resume bit for bit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from genloom import checkpoint, ranks
from genloom.access import Access, Open
from genloom.best import Best
from genloom.components import check_base
from genloom.core import Condition, Generative, Likelihood
from genloom.data.doubts import doubts
from genloom.errors import BadInput, Diverged, Interrupted
from genloom.given import encoded
from genloom.health import EVERY, HEALTH, Alarm, Monitor
from genloom.learner import Learner, reseed
from genloom.memory import kept_pages
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions
from genloom.preview import MANY, Previewer
from genloom.private import check_run
from genloom.private.access import Private
from genloom.progress import Journal, Progress
from genloom.record import Record, command, locked
from genloom.rehearsal import Forecast, rehearse
from genloom.signals import stopping
from genloom.speed import choose_precision, compile_parts, try_compile

if TYPE_CHECKING:
    from genloom.recipe import Plan

__all__ = ["TrainOptions", "train"]

RETRIES = 3  # rollbacks at half the rate before a run gives up
PREPARED = 2048  # training data that `Generative.prepare` may look at
FEW = 10  # steps, with which no model has learned anything


def train(
    plan: Plan, out: Path, *, resume: Literal["auto", "never"] = "auto", quiet: bool = False
) -> Path:
    """Train a plan in the run folder `out`, or go on where it was stopped; gives the folder.

    Args:
        plan: From `recipe.resolve`.
        out: The run folder; it holds all that the run leaves.
        resume: "auto" goes on from the newest checkpoint; "never" refuses a folder with a run.
        quiet: No progress line.

    Raises:
        BadInput: The folder holds another run, or is being trained in.
        Diverged: NaN or infinity, again after `RETRIES` rollbacks.
        GenloomError: Another alarm, with alarms = "stop"; a full disk; an interruption.
    """
    rank, world = ranks.join()
    out.mkdir(parents=True, exist_ok=True)
    with locked(out, rank), kept_pages():
        return _Run(plan, out, rank, world, resume, quiet).run()


def foresee(plan: Plan, out: Path) -> Forecast:
    """Play every part of a run once, in a folder that is to be thrown away, and go no further."""
    return _Run(plan, out, 0, 1, "never", True)._begin()


class _Run:
    """One run in one folder."""

    def __init__(
        self, plan: Plan, out: Path, rank: int, world: int, resume: str, quiet: bool
    ) -> None:
        self.began = time.monotonic()
        self.plan, self.out, self.rank = plan, out, rank
        self.options = options = plan.options
        self.quiet = quiet or rank > 0
        if options.batch % (options.accumulate * world):
            raise BadInput(
                f"batch = {options.batch} does not split into {options.accumulate} micro-batches "
                f"on {world} processes."
            )
        if options.best and len(plan.model.players) > 1:
            raise BadInput(
                f"best = true needs one held-out loss, and {plan.recipe['model']['use']} has "
                f"{len(plan.model.players)} players: leave it out."
            )
        if options.best and not len(plan.dataset.valid):
            raise BadInput(
                f"best = true needs a held-out loss, and {plan.dataset.name} has no validation "
                "part: set data.valid, or leave it out."
            )
        way: type[Access] = Open
        if options.private:
            way = Private
            check_run(plan.model, plan.dataset, options, world)
        if options.threads:
            torch.set_num_threads(options.threads)
        self.device = _device(options.device, rank)
        self.record = Record(out / "run.json", plan, resume, rank)
        self.channels_last = any(isinstance(m, nn.Conv2d) for m in plan.model.modules())
        plan.model.to(self.device)
        plan.codec.to(self.device)
        if self.channels_last:
            to_channels_last(plan.model)
        self.learner = Learner(plan.model, options)
        self.access = way(plan, self.learner, self.record, self._encode, self.say, rank, world)
        self.step = 0  # updates that are done
        self.resumed_at = 0
        self.spent_s = 0.0  # in earlier stretches of this run
        self.previewer = Previewer(plan, out / "samples", self.device)
        self.best = Best() if options.best else None
        self.monitor = Monitor(0)

    def run(self) -> Path:
        """From wherever the run stands to its end."""
        if self.record["status"] == "done":
            return self.out
        try:
            self._run()
        except BaseException as error:
            self.record.update(status="stopped", error=f"{type(error).__name__}: {error}")
            raise
        return self.out

    def _run(self) -> None:
        newest = checkpoint.newest(self.out / "checkpoints")
        if newest is None or self.record["forecast"] is None:
            self.access.check_new()
            forecast = self._begin()
        else:
            forecast = Forecast(**self.record["forecast"])
            self._restore(newest)
            forecast = self.access.resumed(forecast, self.step)
            self.learner.total = forecast.steps
            self.learner.precision = getattr(torch, self.record["precision"])
            if self.record["compiled"]:
                compile_parts(self.learner.model)
        self.journal = self._open_journal()
        cost_s = MANY / forecast.previewed * forecast.preview_s * forecast.steps / 100
        self.previewer.cheap = cost_s < 0.03 * forecast.seconds
        self.previewer.count = forecast.previewed
        self.monitor.total = forecast.steps
        self.vitals: dict[str, float] = {}
        self.progress = Progress(forecast.steps, self.plan.name, quiet=self.quiet)
        try:
            with stopping() as stopped:
                self._loop(forecast, stopped)
            self._finish()
        finally:
            self.progress.close()
            self.journal.close()

    def _begin(self) -> Forecast:
        """Look at the data, rehearse, and forget what the rehearsal changed."""
        self._prepare()
        self.learner.average.load_state_dict(self.learner.model.state_dict())
        start = self.out / "checkpoints" / "step-00000000"
        if self.rank == 0:
            self._save()
        ranks.wait()
        precision = choose_precision(self.learner, self.options.precision, self._rehearse_step)
        forecast = self._agree(
            rehearse(
                self.options,
                self._rehearse_step,
                lambda enough_s: self.previewer.fit(self.learner.sampler(), enough_s),
                lambda: self._save() if self.rank == 0 else start,
                began=self.began,
            )
        )
        compiled = False
        if self.options.compile:
            compiled, line = try_compile(
                self.learner, forecast.steps, forecast.step_s, self._rehearse_step
            )
            self.say(line)
        ranks.wait()
        self.learner.total = forecast.steps
        self._restore(start)
        self.say(f"{self.plan.name}: {forecast}")
        if self.options.planned is None and forecast.steps < FEW:
            self.say(f"note: the time is enough for {forecast.steps} of these steps: give more.")
        for line in () if self.options.private else doubts(self.plan.dataset):
            self.say(f"note: {line}.")
        self.access.settle(forecast.steps)
        self.record.update(
            status="training",
            forecast=forecast.as_dict(),
            total=forecast.steps,
            precision=str(precision).removeprefix("torch."),
            compiled=compiled,
        )
        return forecast

    def _prepare(self) -> None:
        """Let the model measure the data."""
        check_base(self.plan.recipe["model"], self.plan.dataset.items)
        reseed(self.options.seed, 0, "prepare")
        x, cond = self._encode(*self.access.first(PREPARED))
        self.learner.model.prepare(x, cond)

    def _rehearse_step(self, index: int) -> None:
        self.learner.step(index, self.access.rehearsed(index))

    def _agree(self, forecast: Forecast) -> Forecast:
        """The first process's cadence on every process."""
        names = ("steps", "save_every", "preview_every", "previewed")
        shared = {name: int(ranks.share(getattr(forecast, name))) for name in names}
        return replace(forecast, **shared)

    def _open_journal(self) -> Journal:
        name = "metrics.jsonl" if self.rank == 0 else f".metrics-{self.rank}.jsonl"
        board = self.options.tensorboard and self.rank == 0
        return Journal(self.out / name, self.step, self.out / "tensorboard" if board else None)

    def say(self, line: str) -> None:
        """One line to the person who waits."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def _loop(self, forecast: Forecast, stopped: Callable[[], bool]) -> None:
        every = max(1, forecast.steps // 500)
        while self.step < forecast.steps:
            self.access.pay()
            try:
                figures = self.learner.step(self.step, self.access.micros(self.step))
            except Diverged as error:
                self._roll_back(error)
                continue
            self.step += 1
            last = self.step == forecast.steps
            if self.access.watched and self.step % EVERY == 0:
                self._watch(figures)
            if self.step % every == 0 or last:
                self._log(figures)
            if self.step % forecast.preview_every == 0 or last:
                self._preview()
            if self.step % forecast.save_every == 0 or last or stopped():
                self._save_or_roll_back()
            self.progress.update(self.step, self._note(figures))
            if stopped() and not last:
                raise Interrupted(
                    f"stopped at step {self.step} of {forecast.steps}; it is saved. "
                    f"Go on with: {command('train --resume', self.out, self.plan.recipe)}"
                )

    def _encode(self, items: Tensor, cond: Condition) -> tuple[Tensor, Condition]:
        x, cond = encoded(self.plan.codec, items, cond)
        x = x.to(self.device)
        if self.channels_last and x.ndim == 4:
            x = channels_last(x)
        return x, {name: value.to(self.device) for name, value in cond.items()}

    def _log(self, figures: dict[str, float]) -> None:
        seconds = self.spent_s + time.monotonic() - self.began
        rate = self.options.batch * self.step / seconds
        self.journal.log(
            self.step, figures | self.vitals | {"seconds": seconds, "items_per_s": rate}
        )
        self.vitals = {}
        self.record.update(step=self.step, seconds=seconds)

    def _note(self, figures: dict[str, float]) -> str:
        elapsed = time.monotonic() - self.began
        done = self.step - self.resumed_at
        told = self.access.figures(figures)
        return f"| {told} | {self.options.batch * done / elapsed:.0f} items/s"

    def _watch(self, figures: dict[str, float]) -> None:
        vitals = {key: float(value) for key, value in self.learner.model.vitals().items()}
        if self.previewer.cheap and self.step % 100 == 0:
            vitals["diversity"] = self.previewer.diversity(self.learner.sampler())
        self._heed(vitals)
        if len(self.learner.players) == 1:
            loss = sum(v for k, v in figures.items() if k != "grad_norm")
            self._ring(self.monitor.check_plateau(self.step, loss))

    def _heed(self, vitals: dict[str, float]) -> None:
        """Keep the signs of health for the next line of the journal, and ring where one is bad."""
        self.vitals |= {f"{HEALTH}{key}": value for key, value in vitals.items()}
        self._ring(self.monitor.check(self.step, vitals))

    def _ring(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            line = {"alarm": alarm.name, "value": alarm.value, "message": alarm.message}
            self.journal.log(self.step, line)
            self.record.update(alarms=[*self.record["alarms"], {"step": self.step, **line}])
            self.progress.write(f"{alarm.name} at step {self.step}: {alarm.message}")
            if self.options.alarms == "stop":
                self._save_or_roll_back()
                raise alarm.error(f"{alarm.name} at step {self.step}: {alarm.message}")

    def _preview(self) -> None:
        sampler = self.learner.sampler()
        if self.rank == 0:
            picture = self.previewer.draw(sampler, self.step)
            if picture is not None:
                self.journal.picture(self.step, picture)
        valid = self.previewer.valid_loss(sampler, self._encode)
        self.journal.log(self.step, valid)
        if valid and self.access.watched:
            self._held_out(sum(valid.values()), sampler)
        if self.access.watched:
            self._heed({"diversity": self.previewer.diversity(sampler)})
        ranks.wait()

    def _held_out(self, loss: float, sampler: Generative) -> None:
        if self.best is not None:
            self.best.offer(self.step, loss, sampler)
        if isinstance(sampler, Likelihood):
            self._ring(self.monitor.check_held_out(self.step, loss))

    def _save(self) -> Path:
        state = {
            "step": self.step,
            "halvings": self.learner.halvings,
            "seconds": self.spent_s + time.monotonic() - self.began,
            "threads": torch.get_num_threads(),
            "held_out": self.monitor.held_out,
        }
        folder, tensors = self.out / "checkpoints", self.learner.state()
        if self.best is not None and self.best.weights:
            tensors["best"] = self.best.weights
            state |= {"best": [self.best.step, self.best.loss]}
        return checkpoint.save(folder, tensors, state, keep=self.options.keep)

    def _save_or_roll_back(self) -> None:
        """Save; but never write a weight that is not a number."""
        if not self.learner.finite():
            self._roll_back(Diverged(f"a weight is not finite at step {self.step}."))
        elif self.rank == 0:
            self._save()
        ranks.wait()

    def _restore(self, path: Path) -> None:
        tensors, state = checkpoint.read(path, self.device)
        self.learner.restore(tensors)
        self.monitor.held_out = state.get("held_out", [])
        if self.best is not None:
            self.best = Best(*state.get("best", ()), weights=tensors.get("best", {}))
        self.step, self.spent_s = state["step"], state["seconds"]
        self.learner.halvings = state["halvings"]
        self.began = time.monotonic()
        self.resumed_at = self.step

    def _roll_back(self, error: Diverged) -> None:
        """Go back to the newest checkpoint at half the rate; after RETRIES, give up."""
        self.access.check_back(error)
        halvings, at = self.learner.halvings + 1, self.step
        path = checkpoint.newest(self.out / "checkpoints")
        helpless = "training items" in str(error)
        if path is None or halvings > RETRIES or helpless:
            advice = (
                "Look at these items."
                if helpless
                else f"{RETRIES} retries at half the rate did not help; try a smaller train.lr."
            )
            self.journal.log(at, {"alarm": "diverged", "message": str(error)})
            raise Diverged(f"{error} The last good checkpoint is step {_step(path)}. {advice}")
        self._restore(path)
        self.learner.halvings = halvings
        self.journal.close()
        self.journal = self._open_journal()
        line = {"alarm": "diverged", "at": at, "message": str(error), "retry": halvings}
        self.journal.log(self.step, line)
        self.record.update(alarms=[*self.record["alarms"], {"step": at, **line}])
        self.progress.write(f"{error} Back to step {self.step} at 1/{2**halvings} of the rate.")

    def _finish(self) -> None:
        """Write the artifact and close the record."""
        from genloom import artifact

        seconds = self.spent_s + time.monotonic() - self.began
        model = self.learner.sampler()
        if self.best is not None and self.best.weights:
            model.load_state_dict(self.best.weights)
        if self.rank == 0:
            card: dict[str, Any] = {
                "training": {
                    "steps": self.step,
                    "seconds": seconds,
                    "alarms": self.record["alarms"],
                },
                "data": {
                    "name": self.plan.dataset.name,
                    "fingerprint": self.plan.dataset.fingerprint,
                },
            }
            if self.best is not None:
                card["training"]["best"] = {"step": self.best.step, "loss": self.best.loss}
            self.access.sign(card)
            artifact.save(
                self.out / "model",
                model=model,
                recipe=self.plan.recipe,
                items=self.plan.dataset.items,
                card=card,
                codec=self.plan.codec,
            )
        self.record.update(
            status="done", step=self.step, seconds=seconds, active=sorted(self.monitor.active)
        )


def _step(path: Path | None) -> str:
    return "none" if path is None else str(int(path.name.removeprefix("step-")))


def _device(name: str, rank: int) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
