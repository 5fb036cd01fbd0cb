"""Letters that look like a to z: Cyrillic, Greek, Armenian, Latin variants, enclosed letters.

A small table of what is met in practice, after Unicode's confusables (UTS 39); it is no copy of it.
Capitals stand apart, because a capital may look like another letter than its small form: the Greek
capital Nu is an N, the small one a v.
"""

from __future__ import annotations

_CAPITALS = {
    "ABEHIKMNOPTXYZ": "\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7"
    "\u03a5\u0396",  # Greek
    "ABCEHIJKMOPSTXY": "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405"
    "\u0422\u0425\u0423",  # Cyrillic
}
_SMALL = {
    "abeiknoptuvxyw": "\u03b1\u03b2\u03b5\u03b9\u03ba\u03b7\u03bf\u03c1\u03c4\u03c5\u03bd\u03c7"
    "\u03b3\u03c9",  # Greek
    "aceopxyijsdhqwklmtbgun": "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501"
    "\u04bb\u051b\u051d\u043a\u04cf\u043c\u0442\u044c\u0581\u057d\u0578",  # Cyrillic, Armenian
    "eybhoh": "\u0454\u04af\u0432\u043d\u0585\u0570",  # further Cyrillic and Armenian ones
    "iloddhagzt": "\u0131\u0142\u00f8\u0111\u00f0\u0127\u0251\u0261\u0290\u0167",  # Latin
    "abcdefghijklmnoprstuvwyz": "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a"
    "\u1d0b\u029f\u1d0d\u0274\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22",
}  # the last row: small capitals


def _table() -> dict[str, str]:
    table = {"\u00e6": "ae", "\u0153": "oe"}
    for letters, looks in (*_CAPITALS.items(), *_SMALL.items()):
        table.update(zip(looks, letters.lower(), strict=True))
    # negative circled, squared, negative squared, regional indicators: A to Z in a row
    for first in (0x1F150, 0x1F130, 0x1F170, 0x1F1E6):
        table.update({chr(first + i): chr(ord("a") + i) for i in range(26)})
    return table


LOOKS_LIKE = _table()
"""Letter -> one or two letters of a to z."""

LEET = dict(zip("013456789@$!|+\u20ac\u00a3", "oleasgtbgasiltel", strict=True))
"""Digit or sign -> the letter that it stands for; i and l are one letter where this is used."""
