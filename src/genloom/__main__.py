"""`python -m genloom` is `genloom`."""

import sys

from genloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
