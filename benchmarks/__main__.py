"""Every published figure, one after the other: `python -m benchmarks [NAME...]`.

Only `solver_steps` is not among them: it judges a trained run that one names.
"""

from __future__ import annotations

import subprocess
import sys

ALL = {
    "frechet": [],
    "loading": [],
    "vae_step": [],
    "gan_step": [],
    "unet_step": [],
    "sampling_step": [],
    "decoder_step": ["--shape nano", "--shape six"],
    "recurrent_step": [],
    "transformer_xl_step": [],
    "decoding": [],
    "dit_step": [],
    "vqvae_step": [],
    "glow_step": ["--data points", "--data pictures"],
    "cyclegan_step": ["--apart"],
    "hvae_step": [],
    "pixelcnn_step": ["--model pixelcnn", "--model pixelcnnpp"],
    "gaussians25": [],
    "gan_losses": [],
    "stacked_mnist": [],
    "small_data": [],
    "augmentation": [],
    "medical": [],
    "averages": [],
    "pixelcnn_mnist": [],
    "few_steps": [],
    "disentangle": [],
    "directions": ["--data glyphs", "--data glyphs --change second", "--data factors"],
    "editing": [
        "--task inpainting",
        "--task outpainting",
        "--task colorization",
        "--task super2",
        "--task super4",
        "--task style",
        "--task strokes",
    ],
    "translate": [],
    "text_to_image": [],
    "optimizer_budget": [],
    "shakespeare": [],
    "long_context": [
        "",
        "--data nottingham --length 1024 --segment 128 --memory 256 --tokens 4096",
    ],
    "seq2seq": ["--task dates", "--task couplets"],
    "verses": ["", "--plan"],
    "chorales": ["--data jsb", "--data nottingham"],
    "harmony": [],
    "music_vae": [],
    "smiles": ["--form smiles", "--form selfies"],
    "mnist": ["gan", "dcgan", "cvae", "flow", "autoregressive"],
    "vae_bound": [],
    "serving": [],
    "serving_peers": [],
}


def main() -> int:
    """Run the benchmarks that the arguments name, or all; 1 if any failed."""
    failed = []
    for name in sys.argv[1:] or ALL:
        for choice in ALL[name] or [None]:
            command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]
            print(f"== {name} {choice or ''}", flush=True)
            if subprocess.call(command + (choice.split() if choice else [])):
                failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "all ran")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
