"""Documents of a row, read one by one."""

from __future__ import annotations

import torch

from genloom.nets.apart import apart

START = 9


def count(documents: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """What a net may know: how many tokens it has read, their sum, and whose row it is."""
    places = torch.arange(1, documents.shape[1] + 1).expand_as(documents)
    return torch.stack([places, documents.cumsum(1), row[:, None].expand_as(places)], -1).float()


def test_each_document_is_read_from_its_own_start_and_fills_are_left_out():
    tokens = torch.tensor([[9, 1, 2, 9, 3, 9, 9, 9], [9, 4, 4, 4, 4, 4, 4, 4]])
    found = apart(count, tokens, START)
    assert found[0, :, 0].tolist() == [1, 2, 3, 1, 2, 0, 0, 1]
    assert found[0, :5, 1].tolist() == [9, 10, 12, 9, 12]
    assert found[1, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found[1, :, 2].tolist() == [1] * 8


def test_a_document_of_one_token_at_the_end_of_a_row_is_read():
    found = apart(count, torch.tensor([[9, 1, 9, 2], [9, 9, 9, 9]]), START)
    assert found[0, :, 0].tolist() == [1, 2, 1, 2]
    assert found[1, :, 0].tolist() == [1, 0, 0, 1]
    assert apart(count, torch.tensor([[9]]), START)[0, :, 0].tolist() == [1]
