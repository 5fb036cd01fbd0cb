"""Which item belongs to which part: by the files' own parts, or by a hash of the content.

Items with equal content always share a part, so no test item was ever trained on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from genloom.data.findings import Finding
from genloom.errors import BadInput


def digest(data: bytes) -> bytes:
    """Names the content of an item."""
    return hashlib.blake2b(data, digest_size=16).digest()


def check_fractions(valid: float, test: float) -> None:
    """Raises BadInput unless both are shares that leave something to train on."""
    shares = isinstance(valid, int | float) and isinstance(test, int | float)
    if not (shares and 0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise BadInput(f"valid = {valid} and test = {test} must be shares of 1 with a sum below 1.")


def assign(digests: Sequence[bytes], valid: float, test: float, seed: int) -> list[str]:
    """A part for each item, in the order of a keyed hash of its content.

    Args:
        digests: Of the items, one each.
        valid: Share of the validation part; met to within one group of equal items.
        test: Share of the test part.
        seed: Another seed gives another split.
    """
    check_fractions(valid, test)
    key = seed.to_bytes(8, "little", signed=True)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i, content in enumerate(digests):
        groups[content].append(i)
    order = sorted(groups, key=lambda c: hashlib.blake2b(c, digest_size=16, key=key).digest())
    parts, placed = ["train"] * len(digests), 0
    test_end = round(test * len(digests))
    valid_end = test_end + round(valid * len(digests))
    for content in order:
        part = "test" if placed < test_end else "valid" if placed < valid_end else "train"
        for i in groups[content]:
            parts[i] = part
        placed += len(groups[content])
    return parts


def parts_of(
    given: Sequence[str],
    digests: Sequence[bytes],
    names: Sequence[str],
    shares: tuple[float, float],
    seed: int,
) -> tuple[list[str], list[Finding]]:
    """A part for each item; "" for those left out because the official test part has them too.

    Args:
        given: What the files say: "train", "valid", "test" or "".
        digests: Of the items.
        names: Of the items, for findings.
        shares: Of valid and test, where the files have none.
        seed: Of the split.
    """
    valid, test = shares
    check_fractions(valid, test)
    if not any(given):
        return assign(digests, valid, test, seed), []
    fixed = {part: {d for d, g in zip(digests, given) if g == part} for part in ("valid", "test")}
    loose = [i for i, part in enumerate(given) if part not in ("valid", "test")]
    if fixed["valid"]:
        valid = 0.0
    if fixed["test"]:
        test = 0.0
    parts, findings = list(given), []
    for i, part in zip(loose, assign([digests[i] for i in loose], valid, test, seed)):
        parts[i] = part
    for i, part in enumerate(parts):
        later = ("test",) if part == "valid" else ("valid", "test") if part == "train" else ()
        for other in later:
            if digests[i] in fixed[other]:
                findings.append(Finding(names[i], "leak", f"the {other} part has it too"))
                parts[i] = ""
                break
    return parts, findings
