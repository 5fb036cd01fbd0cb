"""Stable Diffusion from a local diffusers folder, behind the verbs of an artifact.

Rombach et al., 2021 (arXiv:2112.10752). Their conventions are translated here: the variance of the
noisy latent is kept at 1 and time is an index in a table of betas, while solvers see the denoiser
D(x; sigma) of x = latent + sigma * noise. Weights are read from safetensors alone, code from the
installed libraries alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast, final

import torch
from torch import Tensor, nn

from genloom import solvers
from genloom.artifact import Artifact
from genloom.checkpoint import digest
from genloom.codecs import Image
from genloom.core import Codec, Condition, Generative, Interval, Items, Real, Rng, Tokens
from genloom.core import like as spread
from genloom.errors import BadInput, need
from genloom.notes import left_out
from genloom.schedules import levels
from genloom.solvers import SolverName

INDEX = "model_index.json"
PARTS: Mapping[str, tuple[str, ...]] = {  # name -> the classes that are understood
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
ROWS = 4  # pictures that the autoencoder treats at once
Target = Literal["epsilon", "v_prediction"]


@final
@dataclass(frozen=True)
class Prompt:
    """How a text becomes the numbers that CLIP reads; a `core.Reader`.

    Args:
        tokenizer: Of transformers.
        length: Numbers of one text, with its marks at the ends and what fills up.
    """

    tokenizer: Any
    length: int

    @property
    def space(self) -> Tokens:
        """Of an encoded text."""
        return Tokens((self.length,), len(self.tokenizer))

    def encode(self, text: str) -> Tensor:
        """Integers (length,); what is too long is cut."""
        found = self.tokenizer(
            text, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        return found.input_ids[0]

    def unread(self, text: str) -> tuple[str, ...]:
        """Its end, where it is too long: CLIP's pieces write every text; see `core.Reader`."""
        count = len(self.tokenizer(text, verbose=False).input_ids)
        return left_out("piece", count, self.length, 0, True)


@final
class Vae(Codec):
    """uint8 pictures <-> latents of about unit scale, by a diffusers AutoencoderKL."""

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    suffix: ClassVar[str] = ".png"

    def __init__(self, items: Items, vae: Any):
        super().__init__(items)
        self.vae, self.plain = vae, Image(items)
        self.scale, self.shift = vae.config.scaling_factor, vae.config.shift_factor or 0.0
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        _, height, width = items.shape
        if height % factor or width % factor:
            raise BadInput(f"a size of {width}x{height} is no multiple of {factor}. Choose one.")
        self.space = Real((vae.config.latent_channels, height // factor, width // factor))

    @torch.no_grad()
    def encode(self, items: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, *space.shape): the mean of the posterior, scaled."""

        def part(some: Tensor) -> Tensor:
            x = self.plain.encode(some).to(self.vae.device)
            return (self.vae.encode(x).latent_dist.mode() - self.shift) * self.scale

        return torch.cat([part(some).to(items.device) for some in items.split(ROWS)])

    @torch.no_grad()
    def decode(self, x: Tensor) -> Tensor:
        """(B, *space.shape) -> (B, 3, H, W) uint8."""

        def part(some: Tensor) -> Tensor:
            z = some.to(self.vae.device) / self.scale + self.shift
            return self.plain.decode(self.vae.decode(z).sample)

        return torch.cat([part(some).to(x.device) for some in x.split(ROWS)])

    def write(
        self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping[str, Any]]
    ) -> None:
        """PNG files, metadata in their text chunks."""
        self.plain.write(items, paths, metadata)


@final
@dataclass(frozen=True)
class Noising:
    """What scheduler_config.json says of training, and how sampling visits its table.

    Args:
        table: Sigma of each time step, rising, float64.
        target: What the net predicts.
        spacing: How the steps of sampling lie in the table.
        offset: Added to them where they are leading.
    """

    table: Tensor
    target: Target
    spacing: str
    offset: int

    def sigmas(self, steps: int) -> Tensor:
        """Falling levels, 0 at the end: (steps + 1,). The last step always ends without noise."""
        total = len(self.table)
        if steps > total:
            raise BadInput(f"steps = {steps}: this model knows {total} levels; take as many.")
        count = torch.arange(steps, dtype=torch.float64)
        if self.spacing == "leading":
            times = (count * (total // steps)).flip(0)
            times = times + min(self.offset, total - 1 - int(times[0]))
        elif self.spacing == "trailing":
            times = (total - count * (total / steps)).round() - 1
        else:
            times = torch.linspace(total - 1, 0, steps, dtype=torch.float64)
        low, high = self.table[times.floor().long()], self.table[times.ceil().long()]
        return torch.cat([torch.lerp(low, high, times - times.floor()), torch.zeros(1).double()])

    def time(self, sigma: Tensor) -> Tensor:
        """The place of a level in the table, between its entries too: (B,) -> (B,)."""
        table, s = self.table.to(sigma.device), sigma.double().contiguous()
        above = torch.searchsorted(table, s).clamp(1, len(table) - 1)
        low, high = table[above - 1], table[above]
        return (above - 1 + ((s - low) / (high - low)).clamp(0, 1)).float()


@final
class StableDiffusion(Generative):
    """The denoiser of latents, given captions: U-Net and text encoder of a pipeline.

    Args:
        space: Of a latent, (4, h, w).
        prompt: How captions are read; a hidden caption is the empty text, as in its training.
        unet: A diffusers UNet2DConditionModel.
        text: A transformers CLIPTextModel.
        noising: Its levels and target.
    """

    space: Real

    def __init__(
        self, space: Real, prompt: Prompt, unet: nn.Module, text: nn.Module, noising: Noising
    ):
        super().__init__(space, {"caption": prompt.space})
        self.unet, self.text, self.noising = unet, text, noising
        self.blank: Tensor
        self.register_buffer("blank", prompt.encode(""))

    def denoise(self, x: Tensor, sigma: Tensor, cond: Condition) -> Tensor:
        """E[latent | latent + sigma * noise = x]."""
        return self._denoise(x, sigma, self._read(cond.get("caption"), len(x)))

    def guided(self, cond: Condition, weight: float) -> solvers.Denoise:
        """The guided denoiser, away from "negative_caption" where there is one."""
        n = len(next(iter(cond.values()))) if cond else 1
        shown = self._read(cond.get("caption"), n)
        if weight == 1 or "caption" not in cond:
            return lambda x, sigma: self._denoise(x, sigma, shown.expand(len(x), -1, -1))
        both = torch.cat([self._read(cond.get("negative_caption"), n), shown])

        def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
            away, toward = self._denoise(x.repeat(2, 1, 1, 1), sigma.repeat(2), both).chunk(2)
            return torch.lerp(away, toward, weight)

        return denoiser

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        steps: Annotated[int, Interval(ge=1, le=1000)] = 25,
        solver: SolverName = "dpmpp",
        guidance: Annotated[float, Interval(ge=0, le=30)] = 7.5,
        eta: Annotated[float, Interval(ge=0, le=1)] = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the denoised latent of every step.

        Args:
            rng: One stream per sample.
            cond: "caption" and "negative_caption", as `Prompt.encode` gives them.
            steps: Levels of the table that are visited.
            solver: As for `Diffusion`; `euler` is DDIM.
            guidance: Weight of the caption; 1 is the plain model.
            eta: Share of the fresh noise, where the solver adds any.
        """
        sigmas, shape = self.noising.sigmas(steps), self.space.shape
        x = rng.normal(*shape) * float(sigmas[0].square().add(1).sqrt())
        denoiser = self.guided(cond, guidance)
        fresh = partial(rng.normal, *shape)
        yield from solvers.solve(solver, denoiser, x, sigmas, fresh, eta=eta)

    def _read(self, caption: Tensor | None, n: int) -> Tensor:
        """What the text encoder makes of captions, (n, L, D)."""
        blank = self.blank.expand(n, -1)
        ids = blank if caption is None else torch.where(caption < 0, blank, caption)
        return self.text(ids).last_hidden_state

    def _denoise(self, x: Tensor, sigma: Tensor, states: Tensor) -> Tensor:
        s = spread(sigma, x).to(x.dtype)
        unit = (1 + s.square()).rsqrt()  # what they call alpha; their latent is alpha * x
        found = self.unet(x * unit, self.noising.time(sigma), states).sample
        if self.noising.target == "epsilon":
            return x - s * found
        return unit.square() * x - s * unit * found


def load(folder: str | Path, *, size: int | None = None, device: str = "auto") -> Artifact:
    """Read a Stable Diffusion pipeline from a local folder.

    Args:
        folder: With model_index.json, unet, vae, text_encoder, tokenizer and scheduler.
        size: Pixels a side of what it makes; None is the size that it was trained at.
        device: As torch names it; "auto" prefers an accelerator.

    Raises:
        BadInput: A part is missing, of a kind that is not understood, or not in safetensors.
        MissingExtra: diffusers or transformers is not installed.
    """
    folder = Path(folder)
    _check(folder)
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel  # pyright: ignore
        from transformers import CLIPTextModel, CLIPTokenizer  # pyright: ignore
    except ImportError as error:
        raise need("diffusers and transformers", "hub", "a diffusers folder") from error
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    held = {"local_files_only": True, "use_safetensors": True}
    unet = cast(Any, UNet2DConditionModel).from_pretrained(folder / "unet", **held)
    vae = cast(Any, AutoencoderKL).from_pretrained(folder / "vae", **held)
    text = cast(Any, CLIPTextModel).from_pretrained(folder / "text_encoder", **held)
    tokenizer = cast(Any, CLIPTokenizer).from_pretrained(
        folder / "tokenizer", local_files_only=True
    )
    prompt = Prompt(tokenizer, text.config.max_position_embeddings)
    side = size or unet.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1)
    items = Items("image", (3, side, side), caption=prompt)
    codec = Vae(items, vae.requires_grad_(False).eval().to(device))
    noising = _noising(json.loads((folder / "scheduler" / "scheduler_config.json").read_text()))
    model = StableDiffusion(cast(Real, codec.space), prompt, unet, text, noising)
    recipe = {"data": {"source": folder.name}, "model": {"use": "stable_diffusion"}}
    mark = _hash(folder)
    card = {"data": {"name": folder.name}, "files": {"weights.safetensors": mark}, "metrics": {}}
    model = model.requires_grad_(False).to(device).eval()
    return Artifact(folder, recipe, card, items, model, codec, mark)


def _check(folder: Path) -> None:
    """Refuse what is not understood, before any library looks at it."""
    if not (folder / INDEX).is_file():
        raise BadInput(f"{folder} holds no {INDEX}: it is no diffusers folder.")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    for part, known in PARTS.items():
        found = (index.get(part) or [None, None])[1]
        if found not in known:
            raise BadInput(f"{folder} has the {part} {found!r}; {' or '.join(known)} is read.")
        if part != "tokenizer" and not list((folder / part).glob("*.safetensors")):
            raise BadInput(
                f"{folder / part} holds no safetensors. Save it with safe_serialization=True; no "
                "other form is read."
            )
    if not (folder / "scheduler" / "scheduler_config.json").is_file():
        raise BadInput(f"{folder} holds no scheduler/scheduler_config.json.")


def _noising(config: Mapping[str, Any]) -> Noising:
    total, target = config.get("num_train_timesteps", 1000), config.get("prediction_type")
    low, high = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    form = config.get("beta_schedule", "linear")
    if form not in ("linear", "scaled_linear") or config.get("trained_betas"):
        raise BadInput(f"beta_schedule = {form!r}: linear and scaled_linear are read.")
    if config.get("rescale_betas_zero_snr"):
        raise BadInput("rescale_betas_zero_snr: a table whose last level is infinite is not read.")
    if target not in (None, "epsilon", "v_prediction"):
        raise BadInput(f"prediction_type = {target!r}: epsilon and v_prediction are read.")
    power = 2 if form == "scaled_linear" else 1
    betas = torch.linspace(low ** (1 / power), high ** (1 / power), total).double() ** power
    return Noising(
        levels(betas),
        target or "epsilon",
        config.get("timestep_spacing", "leading"),
        config.get("steps_offset", 0),
    )


def _hash(folder: Path) -> str:
    """Of all weights and of how they are used."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json"))
    told = "".join(f"{p.relative_to(folder).as_posix()} {digest(p)}\n" for p in files)
    return hashlib.sha256(told.encode()).hexdigest()
