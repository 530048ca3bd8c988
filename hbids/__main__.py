"""``python -m hbids`` is the command ``hbids``."""

import sys

from hbids.cli import main

sys.exit(main())
