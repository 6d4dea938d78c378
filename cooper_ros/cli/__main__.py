"""`python -m cooper_ros.cli` is the command `cooper`, for checkouts that are not installed."""

import sys

from cooper_ros.cli import main

sys.exit(main())
