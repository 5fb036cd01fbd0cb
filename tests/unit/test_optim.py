"""Optimizers: the matrix update, its stacking, who gets which parameter, exact resume."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from genloom.optim import Muon, build, matrices, orthogonalise


def textbook(p: Tensor, grad: Tensor, average: Tensor, lr: float) -> tuple[Tensor, Tensor]:
    """One Muon step on one matrix, spelled out as in its description."""
    average = 0.95 * average + 0.05 * grad
    x = 0.05 * grad + 0.95 * average
    rows, columns = x.shape
    x = x.T if rows > columns else x
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.T if rows > columns else x
    return p - lr * max(1, rows / columns) ** 0.5 * x, average


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 24), nn.Linear(24, 8)])
        self.blocks[0].qkv = nn.Parameter(torch.randn(3, 8, 8))
        self.head = nn.Linear(8, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + torch.einsum("nij,blj->bli", self.blocks[0].qkv, x).tanh()
        for block in self.blocks:
            x = block(x).tanh()
        return self.head(x)


def train(net: nn.Module, optimizers: list[torch.optim.Optimizer], steps: range) -> None:
    for step in steps:
        x = torch.randint(0, 5, (4, 6), generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(net(x).flatten(0, 1), x.roll(1, 1).flatten())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("shape", [(16, 16), (12, 40), (40, 12), (3, 8, 20)])
def test_orthogonalised_singular_values_are_near_one(shape):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    spectrum = torch.logspace(0, -1.3, u.shape[-1])  # condition number 20
    out = torch.linalg.svdvals(orthogonalise(u * spectrum @ v))
    assert out.min() > 0.66
    assert out.max() < 1.22


@pytest.mark.parametrize("shape", [(8, 8), (6, 18), (18, 6)])
def test_muon_is_the_textbook_rule(shape):
    torch.manual_seed(1)
    p = nn.Parameter(torch.randn(shape))
    expected, average = p.detach().clone(), torch.zeros(shape)
    optimizer = Muon([p], lr=0.02)
    for _ in range(3):
        p.grad = torch.randn(shape)
        expected, average = textbook(expected, p.grad, average, 0.02)
        optimizer.step()
    torch.testing.assert_close(p.detach(), expected, rtol=1e-5, atol=1e-6)


def test_stacked_matrices_are_updated_as_if_alone():
    torch.manual_seed(2)
    shapes = [(8, 8), (24, 8), (8, 24), (3, 8, 8)]
    together = [nn.Parameter(torch.randn(s)) for s in shapes]
    alone = copy.deepcopy(together)
    for p, q in zip(together, alone):
        p.grad = torch.randn_like(p)
        q.grad = p.grad.clone()
    Muon(together, weight_decay=0.1).step()
    for q in alone:
        Muon([q], weight_decay=0.1).step()
    for p, q in zip(together, alone):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_each_parameter_has_one_optimizer_and_matrices_have_muon():
    net = Net()
    adamw, muon = build(net, name="muon", weight_decay=0.1)
    assert isinstance(adamw, torch.optim.AdamW)
    assert isinstance(muon, Muon)
    held = [p for o in (adamw, muon) for g in o.param_groups for p in g["params"]]
    assert sorted(map(id, held)) == sorted(map(id, net.parameters()))
    assert [tuple(p.shape) for p in matrices(net)] == [(8, 8), (3, 8, 8), (24, 8), (8, 24)]
    decays = {p.ndim: g["weight_decay"] for g in adamw.param_groups for p in g["params"]}
    assert decays == {1: 0.0, 2: 0.1}


def test_adamw_alone_takes_everything_and_is_fused():
    (adamw,) = build(Net(), name="adamw")
    assert sum(len(g["params"]) for g in adamw.param_groups) == 9
    assert all(g["fused"] for g in adamw.param_groups)


def test_convolutions_and_frozen_weights_are_not_matrices():
    net = nn.Module()
    net.blocks = nn.ModuleList([nn.Conv1d(4, 4, 3), nn.Linear(4, 4), nn.Linear(4, 4)])
    net.blocks[2].weight.requires_grad_(False)
    assert matrices(net) == [net.blocks[1].weight]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_resume_is_bit_identical(name):
    torch.manual_seed(3)
    net = Net()
    optimizers = build(net, name=name, lr=3e-3, weight_decay=0.01)
    train(net, optimizers, range(3))
    again = copy.deepcopy(net)
    fresh = build(again, name=name, lr=3e-3, weight_decay=0.01)
    for old, new in zip(optimizers, fresh):
        state = old.state_dict()
        tensors = {f"{i}.{k}": v for i, s in state["state"].items() for k, v in s.items()}
        stored = load(save(tensors))  # every entry of the state is a tensor
        back = {i: {k: stored[f"{i}.{k}"] for k in s} for i, s in state["state"].items()}
        new.load_state_dict({"state": back, "param_groups": state["param_groups"]})
    train(net, optimizers, range(3, 6))
    train(again, fresh, range(3, 6))
    for p, q in zip(net.parameters(), again.parameters()):
        assert torch.equal(p, q)


def test_muon_learns_faster_than_it_starts():
    torch.manual_seed(4)
    net = Net()
    x = torch.randint(0, 5, (4, 6))

    def loss() -> float:
        return nn.functional.cross_entropy(net(x).flatten(0, 1), x.flatten()).item()

    before = loss()
    optimizers = build(net, name="muon", lr=1e-2)
    for _ in range(40):
        nn.functional.cross_entropy(net(x).flatten(0, 1), x.flatten()).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert loss() < 0.3 * before
