"""Self-BLEU against its definition, item by item, and against sets that are known."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from genloom.errors import Refused
from genloom.metrics.bleu import scores, self_bleu

END = 5


def plain(texts, i):
    """BLEU-4 of text i with the others as references, in the words of its definition."""
    text, others = texts[i], texts[:i] + texts[i + 1 :]
    logs = 0.0
    for k in range(1, 5):
        runs, *known = (
            Counter(tuple(t[j : j + k]) for j in range(len(t) - k + 1)) for t in (text, *others)
        )
        shared = sum(min(c, max(o[run] for o in known)) for run, c in runs.items())
        if k == 1 and not shared:
            return 0.0
        logs += math.log((shared or 0.1) / max(1, sum(runs.values()))) / 4
    near = min((len(o) for o in others), key=lambda length: (abs(length - len(text)), length))
    return min(1.0, math.exp(1 - near / len(text))) * math.exp(logs)


@pytest.mark.parametrize("seed", range(3))
def test_each_item_has_the_bleu_of_the_definition(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 11, (14,), generator=generator).tolist()
    texts = [torch.randint(4, (s,), generator=generator).tolist() for s in sizes]
    texts.append([4, 4, 4])  # shares nothing
    rows = torch.full((len(texts), 11), END)
    for row, text in zip(rows, texts):
        row[: len(text)] = torch.tensor(text)
    wanted = [plain(texts, i) for i in range(len(texts))]
    assert scores(rows, END).tolist() == pytest.approx(wanted) and wanted[-1] == 0
    wide = torch.cat([rows, torch.full((len(rows), 5), END)], 1)
    assert torch.equal(scores(wide, END), scores(rows, END))


def test_one_of_another_length_is_punished_for_being_short():
    rows = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 5, 5]])
    assert scores(rows, END)[:2].tolist() == pytest.approx([1, 1])
    ratio = math.exp(1 - 4 / 2)
    logs = math.log(2 / 2) + math.log(1 / 1) + 2 * math.log(0.1)
    assert float(scores(rows, END)[2]) == pytest.approx(ratio * math.exp(logs / 4))


def test_equal_texts_score_one_and_varied_ones_less():
    same = self_bleu(torch.arange(20).repeat(40, 1))
    assert (same.value, same.low, same.high) == (1, 1, 1) and same.better == "closer"
    generator = torch.Generator().manual_seed(0)
    few, many = (torch.randint(v, (60, 40), generator=generator) for v in (3, 200))
    assert self_bleu(many).high < 0.2 < 0.6 < self_bleu(few).low
    assert self_bleu(few[:30]).value < self_bleu(few).value  # it rises with n
    with pytest.raises(Refused, match="at least 30"):
        self_bleu(few[:29])


def test_rows_shorter_than_four_ids_are_measured():
    assert scores(torch.tensor([[0, 1], [0, 1]])).tolist() == pytest.approx([math.sqrt(0.1)] * 2)
