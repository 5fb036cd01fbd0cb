"""All losses and penalties of `gan`, and BEGAN, on the 25 Gaussians of `gaussians25`: one table.

Equal perceptrons, noise (a plane), batch, steps and rate (that of the family, 2e-3), so that what
differs is the game. "modes" counts those with at least a fifth of their share of the samples,
"good" the samples within three deviations of a mode. WGAN's critic plays five times a step of the
generator, as published, with a penalty of 0.1 as in its authors' toy example; clipping is at 0.1,
for these nets have no normalization.

    python -m benchmarks.gan_losses --seeds 0 1 2 [--sides rp+r1r2 wgan+gp]
"""

from __future__ import annotations

import json

from benchmarks.gaussians25 import NET, parser, trial
from benchmarks.harness import machine

GAN = {"use": "gan", "latent": 2, "net": {"use": "mlp_players", **NET}}
SIDES = {
    **{f"{loss}+none": GAN | {"loss": loss, "penalty": "none"} for loss in ("mm", "ns", "hinge")},
    **{f"{loss}+none": GAN | {"loss": loss, "penalty": "none"} for loss in ("ls", "rp")},
    "wgan+clip": GAN | {"loss": "wgan", "penalty": "clip", "bound": 0.1, "turns": 5},
    "wgan+gp": GAN | {"loss": "wgan", "penalty": "gp", "gamma": 0.1, "turns": 5},
    "ns+r1": GAN | {"loss": "ns", "penalty": "r1"},
    **{
        f"{loss}+r1r2": GAN | {"loss": loss, "penalty": "r1r2"}
        for loss in ("mm", "ns", "hinge", "ls", "wgan", "rp")
    },
    "began": {"use": "began", "latent": 2, "net": {"use": "mlp_coder", "width": 128, "depth": 3}},
}


def main() -> None:
    """One JSON line a run, then the table."""
    args = parser(__doc__, SIDES, "runs/gan_losses").parse_args()
    size = {"steps": args.steps, "batch": args.batch, "samples": args.samples}
    table = [
        "| loss + penalty | modes of 25 by seed | good samples | alarms | seconds |",
        "|---" * 5,
    ]
    for side in args.sides:
        found = []
        for seed in args.seeds:
            found.append(trial(side, SIDES[side], seed, out=args.out, **size))
            print(json.dumps({"side": side, "seed": seed, **found[-1], **machine()}), flush=True)
        columns = [
            ", ".join(str(f["modes"]) for f in found),
            ", ".join(f"{f['high_quality']:.0%}" for f in found),
            ", ".join(sorted({alarm for f in found for alarm in f["alarms"]})) or "none",
            f"{max(f['seconds'] for f in found):.0f}",
        ]
        table.append(f"| {side} | {' | '.join(columns)} |")
    print(f"\n{args.steps} steps of {args.batch}, n = {args.samples}, seeds {args.seeds}\n")
    print("\n".join(f"{line}|" if line.startswith("|---") else line for line in table))


if __name__ == "__main__":
    main()
