"""A score as a picture: time to the right, pitch upwards, a colour for each track."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from genloom.music.notes import Score

ROW = 4  # pixels of a pitch
COLUMN = 2  # pixels of a step
MOST = 480  # steps that are shown
MARGIN = 2  # pitches above and below
PAPER, BAR, OCTAVE = (255, 255, 255), (190, 190, 190), (232, 232, 232)
INKS = (
    (31, 119, 180),
    (214, 96, 20),
    (44, 140, 60),
    (148, 80, 180),
    (190, 40, 60),
    (110, 90, 70),
    (20, 140, 150),
)
DRUM_INK = (90, 90, 90)
GAP, GROUND = 6, (150, 150, 150)  # between rolls


def picture(score: Score, *, most: int = MOST) -> Image.Image:
    """The piano roll of a score, RGB; drums are grey.

    Args:
        score: What is drawn; without notes it is an empty bar.
        most: Steps that are shown.
    """
    notes = [note for track in score.tracks for note in track.notes if note.start < most]
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) - MARGIN, max(pitches) + MARGIN
    stop = min(max(score.end, score.meters[0].bar), most)
    sheet = Image.new("RGB", (stop * COLUMN + 1, (high - low + 1) * ROW), PAPER)
    draw = ImageDraw.Draw(sheet)
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:  # the octaves begin at C
            draw.line((0, (high - pitch + 1) * ROW, sheet.width, (high - pitch + 1) * ROW), OCTAVE)
    for start, _ in score.bars(stop):
        draw.line((start * COLUMN, 0, start * COLUMN, sheet.height), BAR)
    for i, track in enumerate(score.tracks):
        ink = DRUM_INK if track.drum else INKS[i % len(INKS)]
        for note in track.notes:
            x, y = note.start * COLUMN, (high - note.pitch) * ROW
            right = min(note.start + note.length, stop) * COLUMN - 1
            if right > x:
                draw.rectangle((x, y, right, y + ROW - 2), ink)
    return sheet


def sheet(scores: Sequence[Score]) -> Image.Image:
    """The piano rolls of some scores, one or more, below each other."""
    rolls = [picture(score) for score in scores]
    height = sum(one.height + GAP for one in rolls) - GAP
    page = Image.new("RGB", (max(one.width for one in rolls), height), GROUND)
    top = 0
    for one in rolls:
        page.paste(one, (0, top))
        top += one.height + GAP
    return page
