"""The process that runs an operator's patterns; see `patterns`. Standard library only.

One JSON line in, one out: first the patterns, then for each line of texts the matches, as
[pattern, text, start, end].
"""

from __future__ import annotations

import json
import re
import sys

MOST = 32  # matches of one pattern in one text


def main() -> None:
    """Answer until the input closes."""
    patterns = [re.compile(p, re.IGNORECASE) for p in json.loads(sys.stdin.readline())]
    for line in sys.stdin:
        found = []
        for t, text in enumerate(json.loads(line)):
            for p, pattern in enumerate(patterns):
                spans = (m.span() for _, m in zip(range(MOST), pattern.finditer(text)))
                found += [(p, t, start, end) for start, end in spans if end > start]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
