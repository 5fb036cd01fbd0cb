"""Voices written to given ones, by a model that edits grids."""

from __future__ import annotations

import hashlib
import json
import wave
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from genloom import artifact, cli, runs
from genloom.codecs.voices import Voices
from genloom.core import Items
from genloom.errors import BadInput
from genloom.harmony import harmonize
from genloom.lexicon import END
from genloom.music import midi
from genloom.music.events import encode
from genloom.music.notes import Meter, Note, Score, Tempo, Track
from genloom.words import Words

NET = {"use": "bidirectional", "width": 16, "layers": 1, "heads": 2}
FRAMES = 8


class Parallel(nn.Module):
    """Writes what the first voice has; it remembers which cells were free, and the seeds."""

    def __init__(self, voice: int = 0):
        super().__init__()
        self.weight, self.conditions, self.voice = nn.Parameter(torch.zeros(1)), {}, voice
        self.asked: list[torch.Tensor] = []
        self.seeds: list[int] = []

    def sample_steps(self, rng, cond, *, steps: int = 4):
        yield from ()

    def edit_steps(self, rng, cond, source, mask=None, *, strength=1.0, **options):
        self.asked.append(mask[0, 0].clone())
        self.seeds.append(rng.streams[0].initial_seed())
        yield torch.where(mask[:, 0], source[:, self.voice, None], source)


def tune(*starts: int, pitch: int = 60) -> Track:
    """Quarter notes, a step up each."""
    return Track(tuple(Note(s, pitch + i % 12, 12, 79) for i, s in enumerate(starts)), 52)


def about(model: nn.Module, voices: int = 3) -> SimpleNamespace:
    """What `harmonize` needs of an artifact whose grid has 8 quarter notes."""
    words = sorted(set(encode(Score((tune(*range(0, 144, 12)), tune(0)))).split()))
    items = Items("text", (400,), (), Words(tuple(words), "events", marks=(END,)))
    codec = Voices(items, voices=voices, frames=FRAMES)
    assert codec.span == 12
    return SimpleNamespace(name="one", model=model, codec=codec, condition=lambda *_: {})


def test_what_is_given_stays_and_the_rest_is_written():
    odd = Track((Note(1, 60, 7, 33), Note(13, 61, 30, 99)), 3)  # off the grid, of other hardness
    drums = Track((Note(0, 36, 12, 100),), drum=True)
    given = Score((odd, drums), (Tempo(0, 77),), (Meter(0, 3, 4),))
    (made,) = harmonize(about(Parallel()), given, [5])
    assert (made.tracks[0], made.tracks[-1]) == (odd, drums) and len(made.tracks) == 4
    assert (made.tempos, made.meters) == (given.tempos, given.meters)
    assert made.tracks[1] == made.tracks[2]
    assert made.tracks[1].notes == (Note(24, 61, 24, 79),)  # what sounds at the start of a beat


def test_a_long_piece_is_written_in_windows_that_see_what_is_written():
    given = Score((tune(*range(0, 12 * 21, 12)),))
    model = Parallel()
    (made,) = harmonize(about(model), given, [5])
    assert all(track.notes == given.tracks[0].notes for track in made.tracks)
    drawn = [mask.any(0).tolist() for mask in model.asked]
    assert drawn[0] == [True] * 8 and drawn[1] == [False] * 4 + [True] * 4
    assert len(drawn) == 5 and drawn[-1] == [False] * 4 + [True] + [False] * 3  # 21 beats
    assert not any(mask[0].any() for mask in model.asked) and len(set(model.seeds)) == 5


def test_where_nothing_sounds_for_long_all_voices_rest():
    given, model = Score((tune(0, 12, 12 * 4000),)), Parallel()
    (made,) = harmonize(about(model), given, [5])
    assert len(model.asked) <= 4
    assert all(track.notes == given.tracks[0].notes for track in made.tracks)


def test_voices_that_stay_can_be_named():
    bass, four = tune(0, 12), [tune(0, 12, pitch=60 + i) for i in range(3)]
    (made,) = harmonize(about(Parallel(2)), Score((bass,)), [0], keep=[2])
    assert made.tracks[2] is bass and made.tracks[0].notes == bass.notes
    model = Parallel(1)
    (made,) = harmonize(about(model), Score(tuple(four)), [0], keep=[1])
    assert [t.notes for t in made.tracks] == [four[1].notes] * 3 and made.tracks[1] is four[1]
    assert model.asked[0].any(1).tolist() == [True, False, True]


def test_tracks_that_are_no_voices_of_the_model_stay():
    four = tuple(tune(0, 12, pitch=60 + i) for i in range(4))
    (made,) = harmonize(about(Parallel()), Score(four), [0], keep=[0])
    assert made.tracks[0] is four[0] and made.tracks[3] is four[3]


@pytest.mark.parametrize(
    ("tracks", "keep", "says"),
    [
        (3, None, "--keep 0"),
        (1, [0, 1, 2], "all 3 voices"),
        (1, [], "from 0 to 2"),
        (1, [3], "from 0 to 2"),
        (1, [0, 1], "the piece has 1 tracks"),
    ],
)
def test_what_cannot_be_done_is_refused(tracks, keep, says):
    score = Score(tuple(tune(0, pitch=60 + i) for i in range(tracks)))
    with pytest.raises(BadInput, match=says):
        harmonize(about(Parallel()), score, [0], keep=keep)


def test_a_piece_of_drums_has_no_voice_to_keep():
    score = Score((Track((Note(0, 36, 12, 100),), drum=True),))
    with pytest.raises(BadInput, match="drums alone"):
        harmonize(about(Parallel()), score, [0])


def test_a_family_in_one_order_is_refused():
    one = about(nn.Linear(1, 1))
    with pytest.raises(BadInput, match="mdlm"):
        harmonize(one, Score((tune(0),)), [0])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Masked diffusion over duets, hardly trained."""
    folder = tmp_path_factory.mktemp("harmony")
    (folder / "duets").mkdir()
    for i in range(40):
        pair = tune(*range(0, 96, 12), pitch=60 + i % 5), tune(0, 24, 48, pitch=48 + i % 7)
        (folder / "duets" / f"{i}.mid").write_bytes(midi.write(Score(pair)))
    recipe = {
        "data": {"source": str(folder / "duets")},
        "codec": {"use": "voices", "voices": 2, "frames": 8},
        "model": {"use": "mdlm", "net": NET},
        "train": {"batch": 8, "threads": 1},
    }
    runs.train(recipe, out=folder / "run", steps=20, quiet=True)
    return folder / "run"


def test_the_command_line_writes_music(run, tmp_path, capsys):
    melody = Score((tune(*range(0, 120, 12)),), (Tempo(0, 90),))
    (tmp_path / "melody.mid").write_bytes(midi.write(melody))
    command = ["edit", str(run), str(tmp_path / "melody.mid"), "-n", "2", "--json"]
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--steps", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = ["000000.mid", "000001.mid", "000000.wav", "000001.wav", "sheet.png"]
    assert told["files"] == [str(tmp_path / "out" / name) for name in names]
    scores = [midi.read((tmp_path / "out" / name).read_bytes())[0] for name in names[:2]]
    wanted = harmonize(artifact.load(run), melody, [0, 1], steps=4)
    assert scores == wanted and scores[0] != scores[1]
    assert all(s.tracks[0].notes == melody.tracks[0].notes for s in scores)
    assert all(len(s.tracks) == 2 and s.end <= 120 for s in scores)
    record = json.loads((tmp_path / "out" / "000001.mid.json").read_text("utf-8"))
    hashed = hashlib.sha256((tmp_path / "melody.mid").read_bytes()).hexdigest()
    assert (record["seed"], record["source_sha256"]) == (
        "1",
        hashed,
    ) and "mask_sha256" not in record
    assert record["edited"] == "1" and json.loads(record["options"])["steps"] == 4
    with wave.open(str(tmp_path / "out" / "000000.wav")) as sound:
        assert sound.getnframes() > 0
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.height > 0
    refused = [(["--strength", "0.5"], "--keep"), (["--keep", "a"], "whole numbers")]
    for more, says in (*refused, (["-n", "0"], "n = 0: it must be at least 1.")):
        assert cli.main([*command, *more]) == 2
        assert says in capsys.readouterr().err


def test_what_is_no_music_is_refused(run, tmp_path, capsys):
    (tmp_path / "melody.mid").write_bytes(b"no music")
    assert cli.main(["edit", str(run), str(tmp_path / "melody.mid")]) == 2
    assert "no music that can be read" in capsys.readouterr().err
