"""One training step of a recurrent net: the library's beside a plain loop over torch's layers.

The shape is that of the presets: 2 layers, 256 wide, dropout 0.2, batches of 16 rows of 128
characters out of 65 and a start token. A plain step is what a tutorial has: an embedding,
torch.nn.RNN, LSTM or GRU, a linear map, cross entropy, backward, the gradient's norm clipped to 1,
AdamW. Ours is the trainer's step with the options that the presets recommend, the moving average of
the weights with it; the output is not tied, so that both sides have the same parameters.

    python -m benchmarks.recurrent_step --cell lstm --rounds 15
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, parser, report
from genloom.core import Tokens
from genloom.learner import Learner, Micro
from genloom.models import recurrent
from genloom.nets.recurrent import CELLS
from genloom.options import TrainOptions

VOCAB, LENGTH, BATCH, WIDTH, LAYERS, DROPOUT = 65, 128, 16, 256, 2, 0.2
STEPS = 2  # in one call of a side


def batches(seed: int) -> Tensor:
    """(16, BATCH, LENGTH)."""
    torch.manual_seed(seed)
    return torch.randint(VOCAB, (16, BATCH, LENGTH))


class Plain(nn.Module):
    """Embedding, recurrent layers, linear map."""

    def __init__(self, cell: str):
        super().__init__()
        layers: Callable[..., nn.RNNBase] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.embed = nn.Embedding(VOCAB + 1, WIDTH)
        self.layers = layers(WIDTH, WIDTH, LAYERS, batch_first=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) -> (B, L, V)."""
        return self.head(self.dropout(self.layers(self.embed(tokens))[0]))


def plain(cell: str, seed: int) -> Callable[[], None]:
    """A call that trains for STEPS steps."""
    data, count = batches(seed), iter(range(10**9))
    net = Plain(cell)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)

    def run() -> None:
        for _ in range(STEPS):
            x = data[next(count) % len(data)]
            logits = net(F.pad(x[:, :-1], (1, 0), value=VOCAB))
            optimizer.zero_grad()
            F.cross_entropy(logits.flatten(0, 1), x.flatten()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return run


def ours(cell: str, seed: int) -> Callable[[], None]:
    """The same by the library."""
    data, count = batches(seed), iter(range(10**9))
    make = getattr(recurrent, cell)
    options = {"width": WIDTH, "layers": LAYERS, "dropout": DROPOUT, "tied": False}
    model = make(Tokens((LENGTH,), VOCAB), {}, **options)
    learner = Learner(model.train(), TrainOptions(**model.recommended), 10**6)

    def run() -> None:
        for _ in range(STEPS):
            index = next(count)
            learner.step(index, [Micro(data[index % len(data)], {}, 0, BATCH, range(BATCH))])

    return run


def main() -> None:
    options = parser("training step of a recurrent net")
    options.add_argument("--cell", choices=CELLS, default="lstm")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    result = contest(
        {
            "torch": partial(plain, args.cell, args.seed),
            "genloom": partial(ours, args.cell, args.seed),
        },
        **chosen(args),
        items=STEPS * BATCH * LENGTH,
        baseline="torch",
        unit="tokens",
        cell=args.cell,
        shape=[BATCH, LENGTH, WIDTH, LAYERS],
    )
    report(f"training step of {args.cell}, ratios to a plain loop", result, args.json)


if __name__ == "__main__":
    main()
