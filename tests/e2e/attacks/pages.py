"""Texts that a browser would run, were they ever sent to it as a page."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

MARKUP = (
    "<script>alert(a)</script>",
    "<img src=x onerror=alert(a)>",
    "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(a)'/>",
    "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script>a</script></html>",
    "javascript:alert(a)",
    "\"><iframe src='javascript:alert(a)'>",
    "</title><script>alert(a)</script>",
    "<math><mi xlink:href='data:text/html,<script>alert(a)</script>'>",
)
FILENAMES = (
    "x.html",
    "x.svg",
    "x.xhtml",
    "x.htm\u202egnp",
    "<b>x</b>.html",
    'a";type=text/html;".png',
)
PAGES = ("text/html", "application/xhtml+xml", "image/svg+xml", "application/xml", "text/xml")

FOREIGN_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8000",
    "evil.example:80@127.0.0.1",
    "127.0.0.1:80:80",
    "127.0.0.2",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "localhost.",
    "[::ffff:127.0.0.1]",
    "",
)
FOREIGN_PAGES: tuple[dict[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "file://"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Cross-Site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)
FOREIGN_TYPES = (
    "text/plain",
    "text/plain; charset=application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "text/html",
    "",
)


def files_that_name(address: str) -> list[bytes]:
    """Pictures whose metadata name an address that a reader might follow."""
    rdf = (
        "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "
        f"rdf:about='' xmlns:dcterms='http://purl.org/dc/terms/' dcterms:provenance='{address}'/>"
        "</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    )
    entity = f"<!DOCTYPE x [<!ENTITY a SYSTEM '{address}'><!ENTITY % b SYSTEM '{address}'> %b;]>"
    found = []
    for xmp in (rdf, entity + rdf.replace("rdf:about=''", "rdf:about='&a;'")):
        told = PngInfo()
        told.add_itxt("XML:com.adobe.xmp", xmp)
        for form, more in (("PNG", {"pnginfo": told}), ("JPEG", {"xmp": xmp.encode()})):
            file = io.BytesIO()
            Image.new("RGB", (8, 8)).save(file, form, **more)
            found.append(file.getvalue())
    svg = f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{address}'/></svg>".encode()
    return [*found, svg, entity.encode() + svg]
