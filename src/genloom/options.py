"""The options of a training run: what a recipe's [train] table may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from genloom.core import Interval
from genloom.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How long, how fast and how carefully to train.

    The budget is one of `steps`, `images` or `minutes`; the schedule, the warm-down and the
    horizon of the moving average are shares of it.

    Args:
        steps: Updates.
        images: Data seen, counted with repetition; divided by `batch` it gives the steps.
        minutes: Wall-clock time in all; the rehearsal measures how many steps fit.
        batch: Data per update, over all micro-batches and processes.
        accumulate: Micro-batches per update: the same weights for less memory.
        seed: Of the weights, the data order and every draw.
        optimizer: "adamw", or "muon" for hidden matrices and AdamW for the rest.
        lr: Rate of AdamW at its highest.
        matrix_lr: Rate of Muon at its highest.
        beta1: Decay of AdamW's first moment.
        beta2: Decay of AdamW's second moment.
        eps: Floor of AdamW's denominator.
        weight_decay: Decoupled decay of matrices.
        clip: Largest norm of a player's gradient; None for no limit.
        schedule: See `pace.rate`.
        warmup: Share of the run in which the rate rises.
        warmdown: Share of the run in which it falls, for "linear".
        ema: Relative width of the power-function average; None samples from the last weights.
        precision: "auto" lets a probe decide on an accelerator; a CPU stays at float32.
        compile: Try torch.compile; the rehearsal refuses it where it does not pay for itself.
        best: The artifact holds the weights of the preview whose held-out loss was least, not the
            last ones; for a family of one player. Checkpoints hold them too.
        keep: Checkpoints on disk.
        save_every: Steps between checkpoints; None for a twentieth of the run.
        preview_every: Steps between sample grids; None for ten a run, fewer where they are dear.
        alarms: "stop" ends the run at the first alarm (see `health`), "warn" goes on; a private run
            has none, for they look at rows.
        device: "auto", or as torch names it.
        threads: CPU threads; None for torch's choice. Weights are bit-identical for equal counts.
        tensorboard: Write event files as well.
        dp_epsilon: Train privately (see `private`), with the least noise that keeps the run within
            this epsilon.
        dp_noise: Train privately with this noise, in units of `dp_clip`; epsilon follows from it.
        dp_clip: Largest norm of one row's gradient, in place of `clip`; None for 1 in a private
            run.
        dp_delta: Chance that epsilon does not hold, below 1 / rows; None for 1 / (10 rows), but at
            most 1e-5.
    """

    steps: Annotated[int | None, Interval(ge=1)] = None
    images: Annotated[int | None, Interval(ge=1)] = None
    minutes: Annotated[float | None, Interval(ge=0.01)] = None
    batch: Annotated[int, Interval(ge=1)] = 64
    accumulate: Annotated[int, Interval(ge=1)] = 1
    seed: Annotated[int, Interval(ge=0)] = 0
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: Annotated[float, Interval(ge=0)] = 1e-3
    matrix_lr: Annotated[float, Interval(ge=0)] = 0.02
    beta1: Annotated[float, Interval(ge=0, le=1)] = 0.9
    beta2: Annotated[float, Interval(ge=0, le=1)] = 0.99
    eps: Annotated[float, Interval(ge=0)] = 1e-8
    weight_decay: Annotated[float, Interval(ge=0)] = 0.0
    clip: Annotated[float | None, Interval(ge=0)] = 1.0
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: Annotated[float, Interval(ge=0, le=1)] = 0.02
    warmdown: Annotated[float, Interval(ge=0, le=1)] = 0.6
    ema: Annotated[float | None, Interval(ge=0.01, le=0.25)] = 0.10
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    best: bool = False
    keep: Annotated[int, Interval(ge=1)] = 2
    save_every: Annotated[int | None, Interval(ge=1)] = None
    preview_every: Annotated[int | None, Interval(ge=1)] = None
    alarms: Literal["warn", "stop"] = "warn"
    device: str = "auto"
    threads: Annotated[int | None, Interval(ge=1)] = None
    tensorboard: bool = False
    dp_epsilon: Annotated[float | None, Interval(ge=0.001, le=1000)] = None
    dp_noise: Annotated[float | None, Interval(ge=0.1, le=10_000)] = None
    dp_clip: Annotated[float | None, Interval(ge=1e-6, le=1e6)] = None
    dp_delta: Annotated[float | None, Interval(ge=1e-15, le=0.1)] = None

    def __post_init__(self) -> None:
        given = [n for n in ("steps", "images", "minutes") if getattr(self, n) is not None]
        if len(given) > 1:
            raise BadInput(f"{' and '.join(given)} are both set: one budget is needed.")
        if self.batch % self.accumulate:
            raise BadInput(
                f"batch = {self.batch} does not split into accumulate = {self.accumulate} parts."
            )
        self._check_private()

    @property
    def private(self) -> bool:
        """Whether the rows are protected by differential privacy."""
        return self.dp_epsilon is not None or self.dp_noise is not None

    @property
    def planned(self) -> int | None:
        """Steps of the run; None where a rehearsal must find them."""
        if self.steps is None and self.images is not None:
            return max(1, self.images // self.batch)
        return self.steps

    def _check_private(self) -> None:
        if not self.private:
            for name in ("dp_clip", "dp_delta"):
                if (value := getattr(self, name)) is not None:
                    raise BadInput(
                        f"{name} = {value} alone makes no training private: set dp_epsilon or "
                        "dp_noise too."
                    )
            return
        if self.dp_epsilon is not None and self.dp_noise is not None:
            raise BadInput(
                "dp_epsilon and dp_noise are both set: give one, for the other follows from it."
            )
        if self.accumulate > 1:
            raise BadInput(
                f"accumulate = {self.accumulate} saves nothing in a private training, which goes "
                "row by row: leave it at 1."
            )
        if self.alarms == "stop":
            raise BadInput(
                'alarms = "stop" lets rows decide when a private run ends, and no noise protects '
                'them there: leave it at "warn".'
            )
        if self.best:
            raise BadInput(
                "best = true lets held-out rows choose the weights, and no noise protects them "
                "there: leave it out of a private run."
            )
        if self.dp_clip is None:
            object.__setattr__(self, "dp_clip", 1.0)  # so that a recipe records it
