"""XMP packets with the two properties that say 'made by AI'; other properties are left alone.

GB 45438-2025 as practised: property AIGC of http://www.tc260.org.cn/ns/AIGC/1.0/, which holds the
label as JSON. IPTC Photo Metadata: DigitalSourceType of the Iptc4xmpExt schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from genloom.errors import BadInput

TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
LARGEST = 2**20  # bytes of a packet that is parsed
PROPERTIES: Mapping[str, tuple[str, str]] = {
    "AIGC": ("TC260", TC260),
    "DigitalSourceType": ("Iptc4xmpExt", IPTC),
}
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
_EMPTY = (
    _HEAD
    + b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    + f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF>'.encode()
    + b'</x:xmpmeta><?xpacket end="r"?>'
)


def add(packet: bytes | None, properties: Mapping[str, str]) -> bytes:
    """The packet with these properties added, or a packet of their own.

    Args:
        packet: As a file holds it, or None.
        properties: Keys of `PROPERTIES` -> value.

    Raises:
        BadInput: The packet is no XMP, or has one of the properties: marks of others are kept.
    """
    packet = packet or _EMPTY
    for name in read(packet):
        if name in properties:
            raise BadInput(f"the file already carries {name}; marks of others are not replaced.")
    ends = list(re.finditer(rb"</(\w+):RDF\s*>", packet))
    if not ends:
        raise BadInput("the file's XMP packet has no rdf:RDF element that could hold a label.")
    rdf = ends[-1].group(1).decode()
    spaces, elements = "", ""
    for name, value in properties.items():
        prefix, space = PROPERTIES[name]
        spaces += f' xmlns:{prefix}="{space}"'
        elements += f"<{prefix}:{name}>{escape(value)}</{prefix}:{name}>"
    block = f'<{rdf}:Description {rdf}:about=""{spaces}>{elements}</{rdf}:Description>'
    at = ends[-1].start()
    return packet[:at] + block.encode() + packet[at:]


def read(packet: bytes) -> dict[str, str]:
    """Those of `PROPERTIES` that a packet has, as elements or as attributes.

    Raises:
        BadInput: It is no XML, too long, or declares entities, which no XMP needs.
    """
    if len(packet) > LARGEST:
        raise BadInput(f"the XMP packet has {len(packet)} bytes: at most {LARGEST} are read.")
    if b"<!" in packet:  # a document type could define entities that grow without bound
        raise BadInput("the XMP packet holds a declaration (<!...), which is not read.")
    try:  # as text, so that no declared encoding can hide a declaration from the look above
        root = ElementTree.fromstring(packet.strip(b"\0 \r\n\t").decode("utf-8"))
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(f"the XMP packet is no XML: {error}.") from error
    found: dict[str, str] = {}
    for description in root.iter(f"{{{RDF}}}Description"):
        for name, (_, space) in PROPERTIES.items():
            child = description.find(f"{{{space}}}{name}")
            value = description.get(f"{{{space}}}{name}") if child is None else child.text or ""
            if value is not None:
                found.setdefault(name, value)
    return found
