"""A VAE's training against pythae's trainer: equal nets, parameters, batch and likelihood.

One repetition is one shuffled epoch over binary images in memory, Bernoulli likelihood. Pythae runs
its BaseTrainer's epoch as its user would (data set object, collation, bar), without checkpoints;
our side is the library's `Learner`, with its moving average, gradient norm and checks. `bare` is
what a careful loop can reach: our model, fused Adam, and nothing else.

    python -m benchmarks.vae_step
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import arguments, chosen, contest, report
from genloom.core import Real
from genloom.learner import Learner, Micro
from genloom.models.vae import Vae
from genloom.nets.dense import mlp_coder
from genloom.nets.layout import channels_last, to_channels_last, to_grid, to_vector
from genloom.options import TrainOptions

BATCH, LATENT, RATE = 100, 16, 1e-3
IMAGES = {"mlp": 3000, "conv": 500}


class Encoder(nn.Module):
    """Two strided convolutions (32, 64 channels) and a linear map to 2 * LATENT numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU()),
        )
        self.head = nn.Linear(64 * 49, 2 * LATENT)

    def forward(self, x: Tensor, cond: Any = None) -> Tensor:
        """(B, 1, 28, 28) -> (B, 2 * LATENT)."""
        return self.head(to_vector(self.body(x)))


class Decoder(nn.Module):
    """The mirror of the encoder; logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(LATENT, 64 * 49), nn.ReLU())
        self.body = nn.Sequential(
            *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1)),
        )

    def forward(self, z: Tensor, cond: Any = None) -> Tensor:
        """(B, LATENT) -> (B, 1, 28, 28)."""
        return self.body(to_grid(self.first(z), (7, 7)))


def data(kind: str, seed: int) -> Tensor:
    """Binary images, (n, 1, 28, 28)."""
    torch.manual_seed(seed)
    return (torch.rand(IMAGES[kind], 1, 28, 28) < 0.2).to(torch.uint8)


def vae(kind: str) -> Vae:
    """Our model, laid out as the trainer does."""
    net: Any = partial(mlp_coder, width=512, activation="relu")
    if kind == "conv":
        net = lambda *_: (Encoder(), Decoder())  # noqa: E731
    model = Vae(Real((1, 28, 28), levels=2), {}, net=net, latent=LATENT)
    to_channels_last(model)
    return model


def bare(kind: str, seed: int) -> tuple[Callable[[], None], int]:
    """An epoch of the least that a step can be, and the number of parameters."""
    bits, model = data(kind, seed), vae(kind)
    adam = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def epoch() -> None:
        for ids in torch.randperm(len(bits)).split(BATCH):
            x = bits[ids].float() * 2 - 1
            terms = model.loss(channels_last(x) if kind == "conv" else x, {})
            (terms["distortion"] + terms["rate"]).backward()
            adam.step()
            adam.zero_grad()

    return epoch, sum(p.numel() for p in model.parameters())


def ours(kind: str, seed: int) -> tuple[Callable[[], None], int]:
    """An epoch of our step, and the number of parameters."""
    bits, model = data(kind, seed), vae(kind)
    options = TrainOptions(
        steps=1, lr=RATE, beta2=0.999, clip=None, schedule="constant", warmup=0.0, seed=seed
    )
    learner, index = Learner(model, options, total=10**6), 0

    def epoch() -> None:
        nonlocal index
        for ids in torch.randperm(len(bits)).split(BATCH):
            x = bits[ids].float() * 2 - 1
            if kind == "conv":
                x = channels_last(x)
            learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])
            index += 1

    return epoch, sum(p.numel() for p in model.parameters())


def pythae(kind: str, seed: int, folder: str) -> tuple[Callable[[], None], int]:
    """An epoch of pythae's trainer, and the number of parameters."""
    bits = data(kind, seed)
    logging.disable(logging.WARNING)
    from pythae.data.preprocessors import DataProcessor
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class PeerEncoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.net = Encoder()

        def forward(self, x: Tensor) -> Any:
            mean, log_var = self.net(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class PeerDecoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.net = Decoder()

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    nets = (PeerEncoder(), PeerDecoder()) if kind == "conv" else (None, None)
    model = VAE(config, *nets)
    trainer = BaseTrainer(
        model,
        DataProcessor().to_dataset(DataProcessor().process_data(bits.float())),
        training_config=BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            num_epochs=1,
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    epochs = iter(range(1, 10**6))

    def epoch() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_step(next(epochs))

    return epoch, sum(p.numel() for p in model.parameters())


def only_epoch(make: Callable[..., tuple[Callable[[], None], int]], *args: Any) -> Any:
    """The side without its number of parameters."""
    return make(*args)[0]


def main() -> None:
    """Race both kinds of net."""
    args = arguments(__doc__ or "")
    for kind, images in IMAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs = ours(kind, args.seed)[1], pythae(kind, args.seed, folder)[1]
            if mine != theirs:
                raise SystemExit(f"{kind}: {mine} parameters against {theirs}")
            result = contest(
                {
                    "pythae": partial(only_epoch, pythae, kind, args.seed, folder),
                    "genloom": partial(only_epoch, ours, kind, args.seed),
                    "bare": partial(only_epoch, bare, kind, args.seed),
                },
                **chosen(args),
                items=images,
                baseline="pythae",
                unit="images",
                benchmark=f"vae_step/{kind}",
                batch=BATCH,
                parameters=mine,
                pythae=version("pythae"),
            )
        report(f"VAE, {kind}, batch {BATCH}, {mine:,} parameters", result, args.json)


if __name__ == "__main__":
    main()
