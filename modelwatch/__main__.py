"""`python -m modelwatch` is the same as the command `modelwatch`."""

import sys

from modelwatch.cli import main

sys.exit(main())
