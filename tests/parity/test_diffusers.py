"""Agreement with diffusers: the same U-Net from the same weights, the same steps of solvers."""

import math
from collections import deque
from importlib.util import find_spec

import pytest
import torch
from benchmarks.twins import MNIST28, diffusers_unet, our_unet

from genloom.models import learned_variance
from genloom.models.learned_variance import Chain
from genloom.schedules import table
from genloom.solvers import ancestral, dpmpp, euler, unipc

pytestmark = [
    pytest.mark.slow,  # the import alone takes seconds
    pytest.mark.skipif(find_spec("diffusers") is None, reason="`make peers` installs diffusers"),
]


@pytest.fixture(scope="module")
def diffusers():
    import diffusers

    return diffusers


def test_unet_of_ho_et_al_has_the_same_parameters_and_output():
    torch.manual_seed(0)
    theirs = diffusers_unet(MNIST28).eval()
    for p in theirs.parameters():  # their zero biases would hide a misplaced one
        p.data.add_(0.02 * torch.randn_like(p))
    ours = our_unet(theirs, MNIST28).eval()
    count = sum(p.numel() for p in theirs.parameters())
    assert count == sum(p.numel() for p in ours.parameters()) == 3_939_393
    x, t = torch.randn(3, 1, 28, 28), torch.tensor([1.0, 400.0, 999.0])
    with torch.no_grad():
        wanted, found = theirs(x, t).sample, ours(x, t, {})
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() < 1e-4


def gaussian_eps(x, kept):
    """The exact noise of N(0.3, 0.5^2) data, in variance-preserving coordinates."""
    variance = kept * 0.25 + 1 - kept
    return math.sqrt(1 - kept) * (x - math.sqrt(kept) * 0.3) / variance


def denoiser(x, sigma):
    variance = 0.25 + sigma[:, None] ** 2
    return 0.3 + 0.25 * (x - 0.3) / variance


def follow(scheduler, steps, start):
    """Their loop: model, scheduler.step. Returns its end and the levels that it visited."""
    scheduler.set_timesteps(steps)
    kept = scheduler.alphas_cumprod.double()
    x = start
    for t in scheduler.timesteps:
        x = scheduler.step(gaussian_eps(x, float(kept[t])), t, x).prev_sample
    visited = [table("linear")[t].item() for t in scheduler.timesteps]
    return x, [*visited, 0.0]


LINEAR = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


@pytest.fixture
def start():
    return torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def ours(solver, start, sigmas, *rest, **options):
    """Our loop, from the same start: theirs is scaled to unit variance, ours is not."""
    x = start * math.sqrt(1 + sigmas[0] ** 2)
    return deque(solver(denoiser, x, sigmas, *rest, **options), maxlen=1).pop()


def test_tables_are_equal(diffusers):
    theirs = diffusers.DDPMScheduler(**LINEAR).alphas_cumprod
    assert torch.allclose(1 / (1 + table("linear").square()), theirs.double(), rtol=1e-4)
    theirs = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    assert torch.allclose(1 / (1 + table("cosine").square()), theirs.double(), rtol=1e-3)


def test_ddim_is_euler(diffusers, start):
    theirs = diffusers.DDIMScheduler(
        **LINEAR, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
    )
    wanted, sigmas = follow(theirs, 20, start)
    # their last step ends at level 0, as ours; their table is float32
    assert (ours(euler, start, sigmas) - wanted).abs().max() < 1e-4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_dpm_solver(diffusers, start):
    theirs = diffusers.DPMSolverMultistepScheduler(
        **LINEAR, timestep_spacing="trailing", final_sigmas_type="zero", lower_order_final=True
    )
    wanted, sigmas = follow(theirs, 20, start)
    assert (ours(dpmpp, start, sigmas) - wanted).abs().max() < 1e-4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_unipc(diffusers, start):
    theirs = diffusers.UniPCMultistepScheduler(
        **LINEAR, timestep_spacing="trailing", final_sigmas_type="zero", solver_type="bh2"
    )
    wanted, sigmas = follow(theirs, 20, start)
    assert (ours(unipc, start, sigmas) - wanted).abs().max() < 1e-4


def test_ddpm_is_ancestral(diffusers, start):
    theirs = diffusers.DDPMScheduler(
        **LINEAR, timestep_spacing="trailing", clip_sample=False, variance_type="fixed_small"
    )
    theirs.set_timesteps(20)
    kept, x = theirs.alphas_cumprod.double(), start
    generator = torch.Generator().manual_seed(1)
    for t in theirs.timesteps:
        eps = gaussian_eps(x, float(kept[t]))
        x = theirs.step(eps, t, x, generator=generator).prev_sample
    sigmas = [*(table("linear")[t].item() for t in theirs.timesteps), 0.0]
    again = torch.Generator().manual_seed(1)

    def noise():
        return torch.randn(200, 2, generator=again, dtype=torch.float64)

    assert (ours(ancestral, start, sigmas, noise) - x).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_tables_that_end_in_noise_alone(diffusers, name):
    told = LINEAR if name == "linear" else {"beta_schedule": "squaredcos_cap_v2"}
    theirs = diffusers.DDPMScheduler(**told, rescale_betas_zero_snr=True).alphas_cumprod.double()
    ours = 1 / (1 + table(f"{name}-zero").square())
    assert torch.allclose(ours[:-1], theirs[:-1], rtol=1e-2, atol=1e-7)
    assert ours[-1] < 1e-11 and theirs[-1] < 1e-6  # they put 2^-24 for 0 where it would divide


@pytest.mark.parametrize("count", [20, 1000])
def test_ancestral_steps_with_a_learned_variance(diffusers, start, count):
    """Their net has twice the channels; the second half lies between the logarithms, as ours.

    What is compared is the datum that the last step points to: where steps are left out, theirs
    adds noise to it in the end.
    """
    theirs = diffusers.DDPMScheduler(
        **LINEAR, timestep_spacing="trailing", clip_sample=False, variance_type="learned_range"
    )
    theirs.set_timesteps(count)
    kept, x = theirs.alphas_cumprod.double(), start
    generator = torch.Generator().manual_seed(1)
    share = torch.linspace(-1.2, 1.2, 400, dtype=torch.float64).view(200, 2)
    for t in theirs.timesteps:
        told = torch.cat([gaussian_eps(x, float(kept[t])), share], 1)
        step = theirs.step(told, t, x, generator=generator)
        x = step.prev_sample
    sigmas = torch.tensor([*(table("linear")[t].item() for t in theirs.timesteps), 0.0]).double()
    again, chain = (
        torch.Generator().manual_seed(1),
        Chain(table("linear"), torch.ones(1, 1).double()),
    )
    steps = learned_variance.ancestral(
        lambda x, sigma: (denoiser(x, sigma), share),
        start * math.sqrt(1 + sigmas[0] ** 2),
        sigmas,
        lambda: torch.randn(200, 2, generator=again, dtype=torch.float64),
        chain,
    )
    assert (deque(steps, maxlen=1).pop() - step.pred_original_sample).abs().max() < 1e-4


def drawn(count):
    """Standard normal draws, the same for both sides."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(200, 2, generator=generator, dtype=torch.float64) for _ in range(count)]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_with_eta_is_ancestral_with_a_share_of_the_noise(diffusers, start, eta):
    theirs = diffusers.DDIMScheduler(
        **LINEAR, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
    )
    theirs.set_timesteps(20)
    kept, x = theirs.alphas_cumprod.double(), start
    for t, noise in zip(theirs.timesteps, drawn(20), strict=True):
        eps = gaussian_eps(x, float(kept[t]))
        x = theirs.step(eps, t, x, eta=eta, variance_noise=noise).prev_sample
    sigmas = [*(table("linear")[t].item() for t in theirs.timesteps), 0.0]
    found = ours(ancestral, start, sigmas, iter(drawn(20)).__next__, eta=eta)
    assert (found - x).abs().max() < 1e-4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_sde_dpm_solver(diffusers, start):
    theirs = diffusers.DPMSolverMultistepScheduler(
        **LINEAR,
        algorithm_type="sde-dpmsolver++",
        timestep_spacing="trailing",
        final_sigmas_type="zero",
        lower_order_final=True,
    )
    theirs.set_timesteps(20)
    kept, x = theirs.alphas_cumprod.double(), start
    for t, noise in zip(theirs.timesteps, drawn(20), strict=True):
        eps = gaussian_eps(x, float(kept[t]))
        x = theirs.step(eps, t, x, variance_noise=noise).prev_sample
    sigmas = [*(table("linear")[t].item() for t in theirs.timesteps), 0.0]
    found = ours(ancestral, start, sigmas, iter(drawn(20)).__next__, order=2)
    assert (found - x).abs().max() < 1e-4


def test_guidance_is_rescaled_as_theirs(diffusers):
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    from genloom.core import Real
    from genloom.models.diffusion import flow

    model = flow(Real((1, 8, 8)), {})
    torch.manual_seed(0)
    plain, guided = torch.randn(3, 1, 8, 8), 3 * torch.randn(3, 1, 8, 8)
    wanted = rescale_noise_cfg(guided, plain, guidance_rescale=0.7)
    assert torch.allclose(model._rescaled(guided, plain, 0.7), wanted, atol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_dit_of_peebles_and_xie_has_the_same_output():
    from benchmarks.dit_step import Shape, diffusers_dit, our_dit

    shape = Shape(channels=3, side=12, width=48, layers=3, heads=4, patch=2, batch=3)
    torch.manual_seed(0)
    theirs = diffusers_dit(shape).eval()
    for name, p in theirs.named_parameters():  # their zero biases would hide a misplaced one
        if ".emb." not in name:
            p.data.add_(0.05 * torch.randn_like(p))
    ours = our_dit(theirs, shape).eval()
    x, t = torch.randn(3, 3, 12, 12), torch.tensor([1, 400, 999])
    label = torch.tensor([0, 9, 10])  # theirs hides a label by one more class, ours by -1
    with torch.no_grad():
        wanted = theirs(x, t, label).sample
        found = ours(x, t, {"label": torch.tensor([0, 9, -1])})
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() < 1e-3
