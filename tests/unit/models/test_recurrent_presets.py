"""The presets of recurrent nets: which cell, which options, and rates of their own."""

from __future__ import annotations

import pytest

from genloom.core import Tokens
from genloom.models import recurrent
from genloom.models.autoregressive import Autoregressive
from genloom.nets.recurrent import CELLS, Recurrent


@pytest.mark.parametrize("cell", CELLS)
def test_a_preset_makes_its_net(cell):
    make = getattr(recurrent, cell)
    model = make(Tokens((5,), 3), {}, width=12, layers=3, dropout=0.3, tied=False, drop=0.4)
    net = model.net
    assert isinstance(net, Recurrent) and net.cell is CELLS[cell]
    assert [layer.hidden_size for layer in net.layers] == [12, 12, 12]
    assert net.dropout.share == 0.3 and net.out is not None and model.drop == 0.4
    assert recurrent.lstm(Tokens((5,), 3), {}).net.out is None


def test_their_rates_are_their_own():
    usual = Autoregressive(Tokens((5,), 3), {}, net=lambda *args: Recurrent(*args, width=4))
    found = recurrent.gru(Tokens((5,), 3), {}).recommended
    assert (found["optimizer"], found["lr"], found["clip"]) == ("adamw", 2e-3, 1.0)
    assert usual.recommended == Autoregressive.recommended != found
