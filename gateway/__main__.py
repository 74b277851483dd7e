"""`python -m gateway` is `sluice`."""

import sys

from gateway.core.process import hide

hide("rich")  # the log library imports it only for tracebacks of its own kind, which ours are not

from gateway.cli import main  # noqa: E402

sys.exit(main())
