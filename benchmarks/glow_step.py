"""A normalizing flow's training step and sampling beside normflows: equal layers and parameters.

Couplings with a bounded log-scale between learned matrices and actnorms; the peer has the layers of
its own package for each of these, with nets of equal widths. Points have one scale; the peer's are
AffineCouplingBlock, InvertibleAffine in LU form and ActNorm. Pictures have three, of eight steps
each; the peer's are GlowBlock, Squeeze and Merge in a MultiscaleFlow with its logit, and a coupling
before each merge, as our learned priors of split channels are couplings.

A call of "step" is some updates by Adam, of "sample" some batches through the library's `sample`,
with its stream of random numbers for each sample, and of "decode" some batches of the bare way back
from noise that one call draws, as the peer does.

    python -m benchmarks.glow_step --data points
    python -m benchmarks.glow_step --data pictures
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, parser, report
from genloom.core import Real
from genloom.models.glow import Glow
from genloom.nets.coupling import CouplingNet
from genloom.nets.layout import channels_last, to_channels_last
from genloom.sampling import sample

STEPS, RATE, EDGE = 8, 1e-3, 0.05
Work = Literal["step", "sample", "decode"]


@dataclass(frozen=True)
class Setting:
    """What a race is about.

    Args:
        space: One datum.
        levels: Scales.
        width: Of the couplings' nets.
        batch: Of a step, and of samples.
        calls: Batches of a call.
    """

    space: Real
    levels: int
    width: int
    batch: int
    calls: int


SETTINGS = {
    "points": Setting(Real((16,)), levels=1, width=128, batch=256, calls=10),
    "pictures": Setting(Real((3, 32, 32), levels=256), levels=3, width=64, batch=32, calls=2),
}


def data(setting: Setting, seed: int) -> Tensor:
    """Correlated points, or pictures of random levels: (batch, *space.shape)."""
    torch.manual_seed(seed)
    n, shape = setting.batch, setting.space.shape
    if setting.space.levels:
        return torch.randint(setting.space.levels, (n, *shape)) * (2 / 255) - 1
    return torch.randn(n, *shape) @ torch.randn(*shape, *shape)


def ours(setting: Setting) -> Glow:
    """Our flow, laid out as the trainer does."""
    net = partial(CouplingNet, width=setting.width)
    model = Glow(setting.space, {}, net=net, levels=setting.levels, steps=STEPS)
    to_channels_last(model)
    return model


def points(setting: Setting) -> Any:
    """The flow of normflows over points."""
    import normflows

    (dims,) = setting.space.shape
    layers: list[Any] = []
    for _ in range(STEPS):
        widths = [dims // 2, setting.width, setting.width, dims]
        net = normflows.nets.MLP(widths, init_zeros=True)
        layers += [
            normflows.flows.AffineCouplingBlock(net, scale_map="sigmoid"),
            normflows.flows.InvertibleAffine(dims, use_lu=True),
            normflows.flows.ActNorm(dims),
        ]
    base = normflows.distributions.DiagGaussian(dims, trainable=False)
    return normflows.NormalizingFlow(base, layers)


def pictures(setting: Setting) -> Any:
    """The flow of normflows over pictures; its lists begin with the coarsest scale."""
    import normflows
    from normflows.flows import AffineCouplingBlock, GlowBlock, Merge, Squeeze
    from normflows.nets import ConvNet2d

    channels, side, _ = setting.space.shape
    bases, flows = [], []
    for level in range(setting.levels):
        channels, side, last = 4 * channels, side // 2, level == setting.levels - 1
        blocks: list[Any] = [GlowBlock(channels, setting.width) for _ in range(STEPS)]
        if not last:
            widths = (channels // 2, setting.width, setting.width, channels)
            prior = ConvNet2d(widths, (3, 1, 3), init_zeros=True)
            blocks.insert(0, AffineCouplingBlock(prior, scale_map="sigmoid"))
            channels //= 2
        flows.append([*blocks, Squeeze()])
        shape = (channels, side, side)
        bases.append(normflows.distributions.DiagGaussian(shape, trainable=False))
    merges = [Merge() for _ in range(setting.levels - 1)]
    logit = normflows.transforms.Logit(EDGE)
    return normflows.MultiscaleFlow(
        bases[::-1], flows[::-1], merges, transform=logit, class_cond=False
    )


THEIRS = {"points": points, "pictures": pictures}


def updates(model: nn.Module, loss: Callable[[], Tensor], calls: int) -> Callable[[], None]:
    """Some updates by Adam."""
    adam = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def run() -> None:
        for _ in range(calls):
            loss().backward()
            adam.step()
            adam.zero_grad()

    return run


def genloom(kind: str, work: Work, seed: int) -> Callable[[], Any]:
    """Our side."""
    setting = SETTINGS[kind]
    x, model = data(setting, seed), ours(setting)
    x = channels_last(x) if x.ndim == 4 else x
    model.prepare(x, {})
    if work == "step":
        return updates(model, lambda: model.loss(x, {})["nll"], setting.calls)
    if work == "sample":
        return lambda: sample(model, setting.calls * setting.batch, batch=setting.batch)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(setting.calls):
                model.decode(torch.randn(setting.batch, x[0].numel()), {})

    return run


def peer(kind: str, work: Work, seed: int, *, last: bool = False) -> Callable[[], Any]:
    """The side of normflows, with channels last or as it is; its first pass starts its actnorms."""
    setting = SETTINGS[kind]
    x, model = data(setting, seed), THEIRS[kind](setting)
    if last:
        x = channels_last(x)
        to_channels_last(model)

    def loss() -> Tensor:
        levels = setting.space.levels
        if not levels:
            return model.forward_kld(x)
        share = ((x + 1) / 2 * (levels - 1) + torch.rand_like(x)) / levels
        return model.forward_kld(share) / x[0].numel()

    loss()
    if work == "step":
        return updates(model, loss, setting.calls)

    def run() -> None:
        with torch.no_grad():
            for _ in range(setting.calls):
                model.sample(setting.batch)

    return run


def main(argv: Sequence[str] | None = None) -> None:
    """Race all works on the data asked for."""
    options = parser(__doc__)
    options.add_argument("--data", choices=list(SETTINGS), default="points")
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    setting = SETTINGS[args.data]
    models = ours(setting), THEIRS[args.data](setting)
    counts = [sum(p.numel() for p in model.parameters()) for model in models]
    if counts[0] != counts[1]:
        raise SystemExit(f"{counts[0]} parameters against {counts[1]}")
    works: tuple[Work, ...] = ("step", "sample", "decode")
    for work in works:
        sides: dict[str, Callable[[], Callable[[], Any]]] = {
            "normflows": partial(peer, args.data, work, args.seed),
            "genloom": partial(genloom, args.data, work, args.seed),
        }
        if setting.space.levels:
            sides["normflows, channels last"] = partial(peer, args.data, work, args.seed, last=True)
        result = contest(
            sides,
            **chosen(args),
            items=setting.calls * setting.batch,
            baseline="normflows",
            unit=args.data,
            benchmark=f"glow_step/{args.data}/{work}",
            batch=setting.batch,
            parameters=counts[0],
            normflows=version("normflows"),
        )
        title = f"Flow over {args.data}, {work}, batch {setting.batch}, {counts[0]:,} parameters"
        report(title, result, args.json)


if __name__ == "__main__":
    main()
