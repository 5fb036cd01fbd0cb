"""A lexicon's own form: models that know nothing write scores and molecules, in any company."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from genloom.core import Rng, Tokens
from genloom.decoding.forms import FORM, VALID, form_of, own
from genloom.errors import BadInput
from genloom.lexicon import END, Letters
from genloom.models.autoregressive import Autoregressive
from genloom.molecules import chemistry
from genloom.music.events import decode
from genloom.nets.transformer import Transformer
from genloom.words import Words

MUSIC = ("Bar", "Meter_3/4", *(f"Position_{i}" for i in (0, 12, 40)), "Tempo_90", "Track_1")
MUSIC += ("Drums", *(f"Pitch_{i}" for i in range(60, 66)), "Duration_6")
SMILES = ("C", "N", "O", "F", "S", "=", "#", "(", ")", "1", "2", "3", "[N+]", "[O-]", "Cl", "-")
SELFIES = ("[C]", "[=O]", "[F]", "[Branch1]", "[=Branch2]", "[Ring1]", "[nop]", ".")
WORDS = {"events": MUSIC, "smiles": SMILES, "selfies": SELFIES}
LENGTH, ROWS = 24, 75


def writer(lexicon: Words) -> Autoregressive:
    torch.manual_seed(0)
    net = partial(Transformer, width=16, layers=1, heads=1)
    model = Autoregressive(Tokens((LENGTH,), lexicon.vocab, lexicon.end), {}, net=net).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return model


def whole(lexicon: Words, text: str) -> bool:
    """Whether it is a score with all of its notes, or a molecule."""
    if lexicon.form == "events":
        notes = sum(len(track.notes) for track in decode(text).tracks)
        return notes == text.count("Pitch") == text.count("Dur") and text.startswith("Bar")
    return bool(chemistry.told(text, lexicon)["valid"])


@pytest.mark.parametrize("marks", [(END,), ()], ids=["documents", "running"])
@pytest.mark.parametrize("most", [1, 2, 5, None])
@pytest.mark.parametrize("name", list(WORDS))
def test_every_text_is_whole_beside_rows_that_are_free(name, most, marks):
    lexicon = Words(WORDS[name], name, marks=marks)
    rows, given = writer(lexicon).decoding(ROWS + 8), torch.zeros(ROWS, 0, dtype=torch.long)
    with torch.inference_mode():
        free = rows.join(Rng(range(4)), {}, given[:4])
        strict = rows.join(Rng(range(ROWS)), {}, given, constraint=own(lexicon), most=most)
        free += rows.join(Rng(range(4, 8)), {}, given[:4])
        for _ in range(LENGTH):
            rows.step()
    left = most or LENGTH
    texts = [
        lexicon.decode(rows.data(row.place, 1)[0, : left - row.strict.left].tolist())
        for row in strict
        if row.strict is not None
    ]
    assert len(texts) == ROWS and all(whole(lexicon, text) for text in texts), texts
    others = [lexicon.decode(rows.data(row.place, 1)[0].tolist()) for row in free]
    assert name == "selfies" or not all(whole(lexicon, text) for text in others)


def test_a_prompt_is_a_part_of_the_form():
    lexicon = Words(SMILES, "smiles", marks=(END,))
    model, given = writer(lexicon), torch.tensor([lexicon.encode("C1CC(")] * 20)
    with torch.inference_mode():
        *_, x = model.complete(Rng(range(20)), {}, given, constraint=own(lexicon))
    texts = [lexicon.decode(row) for row in x.tolist()]
    assert all(text.startswith("C1CC(") and whole(lexicon, text) for text in texts)
    with pytest.raises(BadInput, match="begins as the prompt does"):
        model.complete(Rng([0]), {}, given[:1] * 0 + 5, constraint=own(lexicon)).__next__()


@pytest.mark.parametrize(
    ("kind", "source", "part"),
    [
        (FORM, VALID, "no grammar of their own"),
        (FORM, "perfect", "a form is 'valid', not 'perfect'"),
        ("lark", "start: x", "one of regex"),
    ],
)
def test_what_is_no_form_is_refused(kind, source, part):
    with pytest.raises(BadInput, match=part):
        form_of(Letters("abc"), kind, source)
