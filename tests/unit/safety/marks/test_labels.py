"""AIGC labels and their carriers: what is written is read, and the rest of the file stays."""

from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest
import yaml
from PIL import Image, PngImagePlugin

from genloom.errors import BadInput
from genloom.safety.marks import containers, labels, riff, xmp
from genloom.safety.marks.labels import Aigc, loads
from tests.unit.safety.marks.conftest import FILES, SECRET, encoded, mp4, picture, wav

CARRIERS = [kind for kind in FILES if kind not in ("text/plain", "application/json")]
PICTURES = [kind for kind in FILES if kind.startswith("image")]


@pytest.fixture
def aigc(record) -> Aigc:
    return Aigc.of(record, SECRET)


def test_the_label_has_seven_strings_in_the_standard_order(aigc, record):
    content = json.loads(aigc.dumps())
    assert list(content) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert content["Label"] == "1" and content["ProduceID"] == record.id
    assert all(isinstance(v, str) for v in content.values())
    assert loads(aigc.dumps()) == loads(f'{{"AIGC": {aigc.dumps()}}}') == aigc


@pytest.mark.parametrize("bad", ["a b", 'a"b', "a\\b", "\u751f", "a\n", "\x7f"])
def test_only_printable_ascii_without_space_quote_and_backslash(bad):
    with pytest.raises(BadInput, match="printable ASCII"):
        Aigc("1", bad, "1")
    Aigc("1", "!#[]~", "1")


@pytest.mark.parametrize(
    "bad",
    ["{", "[]", "{}", '{"Label":"1"}', "[" * 3000, "x" * 5000, "null"],
)
def test_malformed_labels_are_refused(bad, aigc):
    with pytest.raises(BadInput):
        loads(bad)


def test_a_label_with_another_field_or_number_is_refused(aigc):
    content = json.loads(aigc.dumps())
    for other in ({"Label": 1}, {"Label": "4"}, {"Extra": ""}):
        with pytest.raises(BadInput):
            loads(json.dumps(content | other))


def test_the_seal_fits_one_key_and_one_label(aigc):
    assert aigc.sealed_by(SECRET)
    assert not aigc.sealed_by(SECRET[::-1])
    assert not Aigc("1", aigc.ContentProducer, "other", aigc.ReservedCode1).sealed_by(SECRET)
    assert not Aigc("1", "a", "b").sealed_by(SECRET)


@pytest.mark.parametrize("kind", CARRIERS)
def test_what_is_written_is_read(kind, aigc):
    out = labels.write(FILES[kind], kind, aigc)
    found = labels.read(out, kind)
    assert loads(found["AIGC"]) == aigc
    assert found["DigitalSourceType"] == labels.TRAINED
    assert labels.read(FILES[kind], kind) == {}
    with pytest.raises(BadInput, match="already carries"):
        labels.write(out, kind, aigc)


@pytest.mark.parametrize("kind", PICTURES)
def test_pillow_reads_the_packet_and_no_pixel_changes(kind, aigc):
    out = labels.write(FILES[kind], kind, aigc)
    with Image.open(io.BytesIO(FILES[kind])) as before, Image.open(io.BytesIO(out)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        text = after.info["xmp"]
    packet = text if isinstance(text, bytes) else text.encode()
    assert loads(xmp.read(packet)["AIGC"]) == aigc


def test_a_packet_that_pillow_wrote_is_kept_and_extended(aigc):
    other = xmp.add(None, {}).replace(
        b"</rdf:RDF>",
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        b'dc:format="x"/></rdf:RDF>',
    )
    for form, kind in (("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")):
        options = {"xmp": other}
        if form == "PNG":
            options = {"pnginfo": PngImagePlugin.PngInfo()}
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", other.decode())
        out = labels.write(encoded(picture(64), form, **options), kind, aigc)
        packet = containers.xmp_of(out, kind)
        assert packet is not None and b'dc:format="x"' in packet
        assert out.count(b"W5M0MpCehiHzreSzNTczkc9d") == 1
        assert loads(labels.read(out, kind)["AIGC"]) == aigc


def test_lossless_webp_with_alpha_keeps_it(aigc):
    pixels = np.dstack([picture(64), np.full((64, 64), 100, np.uint8)])
    data = encoded(pixels, "WEBP", lossless=True)
    assert riff.chunks(data)[0][0] == b"VP8L"  # the simple form, which holds no metadata
    out = labels.write(data, "image/webp", aigc)
    header = dict(riff.chunks(out))[b"VP8X"]
    assert header == bytes([0x14, 0, 0, 0, 63, 0, 0, 63, 0, 0])  # alpha and XMP, 64 x 64
    with Image.open(io.BytesIO(out)) as image:
        assert image.mode == "RGBA" and np.array_equal(np.asarray(image), pixels)


def test_wav_samples_and_foreign_id3_frames_stay(aigc):
    title = riff.build(
        b"WAVE",
        [
            *riff.chunks(wav()),
            (b"id3 ", b"ID3\4\0\0\0\0\0\x0eTIT2\0\0\0\4\0\0\3abc"),
        ],
    )
    out = labels.write(title, "audio/wav", aigc)
    tag = dict(riff.chunks(out))[b"id3 "]
    assert b"TIT2\0\0\0\4\0\0\3abc" in tag and tag[3] == 4
    assert loads(labels.read(out, "audio/wav")["AIGC"]) == aigc
    with wave.open(io.BytesIO(out)) as file:
        assert file.readframes(2000) == b"\x80" * 1001


def test_an_id3_tag_that_cannot_be_read_is_not_overwritten(aigc):
    odd = riff.build(b"WAVE", [*riff.chunks(wav()), (b"id3 ", b"ID3\2\0\0\0\0\0\0")])
    with pytest.raises(BadInput, match="cannot be read"):
        labels.write(odd, "audio/wav", aigc)


def test_mp4_media_do_not_move(aigc):
    out = labels.write(mp4(), "video/mp4", aigc)
    assert out.startswith(mp4())


def test_front_matter_is_yaml_and_joins_that_of_the_text(aigc):
    own = b"---\ntitle: Mine\n---\n\nText.\n"
    for data in (own, FILES["text/markdown"]):
        out = labels.write(data, "text/markdown", aigc).decode()
        _, front, rest = out.split("---\n", 2)
        content = yaml.safe_load(front)
        assert content["AIGC"] == json.loads(aigc.dumps())
        assert content.get("title") == ("Mine" if data is own else None)
        assert rest.lstrip("\n") == data.decode().rpartition("---\n")[2].lstrip("\n")


def test_an_xmp_packet_with_a_declaration_is_not_parsed():
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(BadInput, match="declaration"):
        xmp.read(bomb)
    with pytest.raises(BadInput):
        xmp.read(b"\xfe\xff" + bomb.decode().encode("utf-16-be"))
    hidden = b'<?xml version="1.0" encoding="cp037"?>' + bomb.decode().encode("cp037")
    with pytest.raises(BadInput):
        xmp.read(hidden)
    with pytest.raises(BadInput, match="at most"):
        xmp.read(b" " * (xmp.LARGEST + 1))


@pytest.mark.parametrize("kind", [k for k in CARRIERS if not k.startswith("text")])
def test_a_file_cut_short_gives_a_reason(kind, aigc):
    whole = labels.write(FILES[kind], kind, aigc)
    refused = 0
    for end in range(12, len(whole), max(1, len(whole) // 200)):
        try:
            labels.write(whole[:end], kind, aigc)
        except BadInput:
            refused += 1
    assert refused > 0
