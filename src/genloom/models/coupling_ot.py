"""Optimal transport within a batch: which noise belongs to which datum.

Tong et al., Improving and generalizing flow-based generative models with minibatch optimal
transport, 2023 (arXiv:2302.00482), section 3.2.3: paths that cross less are learned and followed in
fewer steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.errors import need


def transport(noise: Tensor, x: Tensor) -> Tensor:
    """The rows of the noise in the order that makes the sum of |x_i - noise_i|^2 least.

    The assignment is exact, O(B^3) on the CPU. It looks at the rows that it is given: a micro-batch
    or a rank couples its own rows alone, so with accumulation the coupling is that of a smaller
    batch, a little nearer to independence. No row is drawn other than without it, only the order of
    noise within the part changes.

    Args:
        noise: (B, *shape).
        x: Data in the same unit, (B, *shape).

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError as error:
        raise need("scipy", "demo", "coupling = 'ot'") from error
    # |x|^2 and |noise|^2 are the same for every order, so inner products decide.
    gain = x.detach().flatten(1).double() @ noise.flatten(1).double().T
    _, order = linear_sum_assignment(gain.cpu().numpy(), maximize=True)
    return noise[torch.from_numpy(order).to(noise.device)]
