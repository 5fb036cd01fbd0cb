"""Personal data in a text: kinds, spans and redaction; check digits keep chance numbers out.

Resident identity numbers: GB 11643-1999 with the check digit of ISO/IEC 7064 MOD 11-2. Payment
cards: ISO/IEC 7812-1, Annex B (Luhn). Telephone numbers: E.164 with its plus sign or 00, and
Chinese mobile numbers with or without +86; national numbers of other countries are not told from
other numbers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import final

from genloom.errors import BadInput, nearest
from genloom.safety.policy.folding import normal
from genloom.safety.policy.schema import VerdictName, strings
from genloom.safety.policy.verdict import ALLOWED, Outcome, Verdict

# every repeat is bounded or of one kind of character that nothing after it may take: linear time
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
    r"(?![A-Za-z0-9-])"
)
_CN_MOBILE = re.compile(r"(?<![\d+])(?:(?:\+|00)?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![ -]?\d)")
_E164 = re.compile(r"(?<![\d+])(?:\+|00)[1-9](?:[ .()/-]{0,2}\d){6,14}(?![ -]?\d)")
_RESIDENT = re.compile(r"(?<![\dA-Za-z])\d{6}[ -]?\d{4}[ -]?\d{4}[ -]?\d{3}[\dXx](?![\dA-Za-z])")
_CARD = re.compile(r"(?<![\d.+-])\d(?:[ -]?\d){12,18}(?![ -]?\d|\.\d)")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{3,39}(?:(?:\.\d{1,3}){3})?(?![\w:]|\.\w)",
    re.ASCII,
)
_PROVINCES = {*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55)}
_PROVINCES |= {*range(61, 66), 71, 81, 82, 83}
_ISSUERS = re.compile(r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[4-9]|30|6")


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of those before it."""
    doubled = (2 * int(d) if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def resident_check(first: str) -> str:
    """The check digit (0 to 9 or X) of the first 17 digits of a resident identity number."""
    total = sum(int(d) * pow(2, 17 - i, 11) for i, d in enumerate(first))
    return "10X98765432"[total % 11]


def _resident(text: str) -> bool:
    number = re.sub("[ -]", "", text).upper()
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    likely = int(number[:2]) in _PROVINCES and date(1880, 1, 1) <= born <= date.today()
    return likely and resident_check(number[:17]) == number[17]


def _card(text: str) -> bool:
    number = re.sub("[ -]", "", text)
    return _ISSUERS.match(number) is not None and len(set(number)) > 1 and luhn(number)


def _address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and not (re.search(r"\d", text) and len(text) > 6):
        return False  # "a::b" and "cafe::" are rather code or words
    return not (address.is_loopback or address.is_unspecified)


def _certain(_: str) -> bool:
    return True


# the first that takes a place keeps it
_KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (_EMAIL, _certain),
    "resident_id": (_RESIDENT, _resident),
    "card": (_CARD, _card),
    "ipv6": (_IPV6, _address),
    "ipv4": (_IPV4, _address),
    "cn_mobile": (_CN_MOBILE, _certain),
    "phone": (_E164, _certain),
}
KINDS = tuple(_KINDS)


@dataclass(frozen=True)
class Found:
    """A piece of personal data.

    Args:
        kind: One of KINDS.
        start: Of it in the text as it was given.
        end: After its last character.
    """

    kind: str
    start: int
    end: int


def find(text: str, kinds: Sequence[str] = KINDS) -> list[Found]:
    """Personal data in a text, in order and without overlaps."""
    folded = normal(text)
    plain = "".join(str(int(c)) if c.isdecimal() else c for c in folded.text)  # of any script
    taken: list[Found] = []
    for kind in (name for name in KINDS if name in kinds):
        pattern, certain = _KINDS[kind]
        for match in pattern.finditer(plain):
            if certain(match.group()):
                start, end = folded.span(*match.span())
                if all(end <= other.start or other.end <= start for other in taken):
                    taken.append(Found(kind, start, end))
    return sorted(taken, key=lambda found: found.start)


def redact(text: str, kinds: Sequence[str] = KINDS) -> str:
    """The text with each piece of personal data replaced by its kind, as [email]."""
    parts, position = [], 0
    for found in find(text, kinds):
        parts += [text[position : found.start], f"[{found.kind}]"]
        position = found.end
    return "".join([*parts, text[position:]])


@final
class Personal:
    """The filter `use = "personal"`: is there personal data in a text?

    Args:
        folder: Of the policy file.
        kinds: Which, of KINDS; all where it is left out.
        verdict: Of a text that has some.
    """

    reads = ("text",)
    category = "personal"

    def __init__(self, folder: Path, *, kinds: list | None = None, verdict: VerdictName = "flag"):
        self.kinds = tuple(strings("kinds", kinds)) if kinds is not None else KINDS
        for kind in self.kinds:
            if kind not in KINDS:
                raise BadInput(f"there is no kind {kind!r} of personal data{nearest(kind, KINDS)}")
        self.verdict = Verdict(verdict)

    def check(self, batch: Sequence[str]) -> list[Outcome]:
        """An outcome for each text; the reason names the kinds, not the data."""
        return [self._outcome(find(text, self.kinds)) for text in batch]

    def _outcome(self, found: list[Found]) -> Outcome:
        if not found:
            return ALLOWED
        kinds = ", ".join(sorted({piece.kind for piece in found}))
        spans = tuple((piece.start, piece.end) for piece in found)
        return Outcome(self.verdict, f"personal data: {kinds}", 1.0, spans)
