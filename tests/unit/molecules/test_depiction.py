"""Drawings of molecules are sound SVG, and show what is none as well."""

from __future__ import annotations

from xml.etree import ElementTree

from genloom.molecules.depiction import HEIGHT, WIDTH, draw

SVG = "{http://www.w3.org/2000/svg}"


def cells(smiles: list[str], columns: int = 4) -> list[ElementTree.Element]:
    return ElementTree.fromstring(draw(smiles, columns)).findall(f"{SVG}svg")


def test_a_molecule_is_drawn_by_its_bonds_and_atoms():
    (cell,) = cells(["CC(=O)Oc1ccccc1C(=O)O"])
    assert len(cell.findall(f"{SVG}path")) > 13
    assert {text.text for text in cell.findall(f"{SVG}text")} >= {"O", "H"}
    assert cell.find(f"{SVG}title").text == "CC(=O)Oc1ccccc1C(=O)O"
    assert "#FF0000" in draw(["CCO"]) and "#FF0000" not in draw(["CCC"])  # oxygen is red


def test_what_is_no_molecule_is_crossed_out_and_cannot_speak_svg():
    (cell,) = cells(["C1CC</text><script>alert(1)</script>" + "C" * 300])
    (text,) = cell.findall(f"{SVG}text")
    assert text.get("text-decoration") == "line-through"
    said = "".join(span.text for span in text)
    assert said.startswith("C1CC</text><script>") and len(said) < 200
    assert not cell.findall(f".//{SVG}script")
    assert "(nothing)" in draw([""])


def test_a_sheet_is_as_wide_as_it_needs_to_be():
    whole = ElementTree.fromstring(draw(["CO"] * 6, columns=4))
    assert (whole.get("width"), whole.get("height")) == (str(4 * WIDTH), str(2 * HEIGHT))
    assert [(cell.get("x"), cell.get("y")) for cell in whole.findall(f"{SVG}svg")][4:] == [
        ("0", "150"),
        ("200", "150"),
    ]
    few = ElementTree.fromstring(draw(["CO", "C("]))
    assert few.get("width") == str(2 * WIDTH)


def test_the_same_molecule_is_drawn_the_same():
    assert draw(["Cc1ccccc1"]) == draw(["Cc1ccccc1"])
