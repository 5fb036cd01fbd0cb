"""A Stable Diffusion folder behind our verbs: the same pictures as diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from genloom import artifact
from genloom.core import Rng
from genloom.errors import BadInput
from genloom.hub import diffusers as hub

peer = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer(folder):
    """Letters, and the two marks of CLIP."""
    letters = [chr(c) for c in range(97, 123)]
    pieces = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    told = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 12}
    marks = {"bos_token": pieces[-2], "eos_token": pieces[-1], "unk_token": pieces[-1]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(told | marks | {"pad_token": pieces[-1]})
    )
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    torch.manual_seed(0)
    known = tokenizer(tmp_path_factory.mktemp("words") / "clip")
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=16, intermediate_size=24, num_attention_heads=2, num_hidden_layers=2,
            vocab_size=len(known), max_position_embeddings=12, projection_dim=16,
            bos_token_id=known.bos_token_id, eos_token_id=known.eos_token_id, pad_token_id=1,
        )
    )  # fmt: skip
    unet = peer.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
    )  # fmt: skip
    vae = peer.AutoencoderKL(
        block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        scaling_factor=0.5,
    )  # fmt: skip
    return {"unet": unet, "vae": vae, "text_encoder": text, "tokenizer": known}


def pipeline(parts, scheduler):
    made = peer.StableDiffusionPipeline(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def ddim(target: str = "epsilon", spacing: str = "leading"):
    return peer.DDIMScheduler(
        **BETAS, prediction_type=target, timestep_spacing=spacing, steps_offset=1,
        set_alpha_to_one=True, clip_sample=False,
    )  # fmt: skip


def euler(target: str = "epsilon", spacing: str = "leading"):
    return peer.EulerDiscreteScheduler(
        **BETAS, prediction_type=target, timestep_spacing=spacing, steps_offset=1
    )


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("hub") / "tiny-sd"
    pipeline(parts, ddim()).save_pretrained(path, safe_serialization=True)
    return path


@pytest.mark.parametrize("make", [
    ddim, euler,
    lambda: ddim("v_prediction"), lambda: euler("v_prediction"),
    lambda: ddim(spacing="trailing"),
])  # fmt: skip
def test_a_sample_is_that_of_diffusers(parts, tmp_path, make):
    made = pipeline(parts, make())
    made.save_pretrained(tmp_path / "sd", safe_serialization=True)
    ours = hub.load(tmp_path / "sd", device="cpu")
    noise = Rng([3, 4]).normal(4, 8, 8)
    prompt, away = ["a cat", "two dogs"], ["bad", "ugly"]
    told = {"num_inference_steps": 4, "guidance_scale": 5.0, "latents": noise}
    wanted = made(prompt, negative_prompt=away, **told, output_type="latent").images
    *_, found = ours.model.sample_steps(
        Rng([3, 4]),
        ours.condition([3, 4], caption=prompt, negative=away),
        steps=4, solver="euler", guidance=5.0,
    )  # fmt: skip
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    wanted = torch.from_numpy(made(prompt, **told, output_type="np").images).mul(255).round()
    items = ours.sample(2, seed=3, caption=prompt, steps=4, solver="euler", guidance=5.0)
    assert items.shape == (2, 3, 16, 16) and items.dtype == torch.uint8
    assert (items.permute(0, 2, 3, 1).float() - wanted).abs().max() <= 1


def test_a_sample_is_its_seeds_alone_and_can_be_watched(folder):
    ours = artifact.load(folder, device="cpu")  # the one verb for all models
    together = ours.sample(3, seed=5, caption="a cat", steps=3)
    alone = ours.sample(1, seed=6, caption="a cat", steps=3)
    assert (together[1].int() - alone[0].int()).abs().max() <= 1
    guesses = list(ours.stream(1, caption="a cat", steps=3))
    assert len(guesses) == 3 and guesses[0].shape == (1, 3, 16, 16)
    blank = ours.condition([0], caption=None)
    assert (blank["caption"] == -1).all()
    a, b = (ours.model._read(ids, 1) for ids in (None, blank["caption"]))
    assert torch.equal(a, b)
    assert len(ours.hash) == 64 and ours.records(1, caption="a cat")[0]["model"] == ours.hash


def test_the_denoiser_knows_its_levels(folder):
    noising = hub.load(folder, device="cpu").model.noising
    table = peer.DDIMScheduler(**BETAS).alphas_cumprod.double()
    torch.testing.assert_close(noising.table, ((1 - table) / table).sqrt(), atol=0, rtol=1e-4)
    times = torch.tensor([0.0, 250.5, 999.0])
    middle = (noising.table[250] + noising.table[251]) / 2
    levels = torch.stack([noising.table[0], middle, noising.table[999]])
    torch.testing.assert_close(noising.time(levels), times, atol=1e-3, rtol=0)
    assert noising.sigmas(4)[-1] == 0 and (noising.sigmas(1000).diff() < 0).all()


def test_the_codec_goes_there_and_back(folder):
    codec = hub.load(folder, device="cpu").codec
    items = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    z = codec.encode(items)
    assert z.shape == (5, 4, 8, 8)
    x = items.float() / 127.5 - 1
    wanted = codec.vae.encode(x).latent_dist.mean * 0.5
    torch.testing.assert_close(z, wanted, atol=1e-5, rtol=1e-4)
    assert codec.decode(z).shape == items.shape
    assert hub.load(folder, size=32, device="cpu").items.shape == (3, 32, 32)


def test_what_is_not_read_is_named(folder, tmp_path):
    with pytest.raises(BadInput, match=r"model_index\.json"):
        hub.load(tmp_path)
    for change, line in (
        (lambda p: (p / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "safetensors"),
        (lambda p: edit(p / "model_index.json", unet=["diffusers", "Evil"]), "'Evil'"),
        (lambda p: edit(p / "scheduler" / "scheduler_config.json", prediction_type="sample"),
         "prediction_type"),
        (lambda p: edit(p / "scheduler" / "scheduler_config.json", beta_schedule="sigmoid"),
         "beta_schedule"),
    ):  # fmt: skip
        path = tmp_path / line.strip("'")
        shutil.copytree(folder, path)
        change(path)
        with pytest.raises(BadInput, match=line):
            hub.load(path, device="cpu")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
