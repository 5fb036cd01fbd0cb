"""Differentially private training: gradients of single rows, clipped, summed, with noise on top.

Abadi et al., Deep learning with differential privacy, 2016 (arXiv:1607.00133), Alg. 1. What it
costs is counted by Renyi differential privacy: Mironov, Talwar and Zhang, 2019 (arXiv:1908.10530).
The guarantee is about adding or removing one row, and it holds for the weights alone, of models
whose loss of a row looks at no other row. `UNCOVERED` lists what it does not cover.

`train.dp_epsilon` and `train.dp_noise` turn it on. The trainer then draws rows, noise and the
losses' own draws from seeds of the system that nobody keeps: such a run cannot be made again. It
lets `prepare` and the rehearsal see `stand_ins` for the data, logs no loss of a row, watches for no
alarm, and counts a step on disk before it takes it. Not done: noise of a cryptographic generator
(torch's is one that its outputs betray), and noise that is safe against attacks on rounding
(Mironov, 2012, doi:10.1145/2382196.2382264).
"""

from genloom.private.accountant import epsilon, noise_for, renyi
from genloom.private.gradients import check, clipped, gradient, poisson
from genloom.private.mechanisms import Mechanism, check_run, composed, mechanism, stand_ins

__all__ = [
    "Mechanism",
    "check",
    "check_run",
    "clipped",
    "composed",
    "epsilon",
    "gradient",
    "mechanism",
    "noise_for",
    "poisson",
    "renyi",
    "stand_ins",
]
