"""Commands: what an operator does beside serving. `cli` reads the command line, and imports a command when it runs."""

import sys
from typing import Final

EXIT_FAILED: Final = 1


def say(text: str) -> None:
    """Show a person `text`."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Tell a person what is wrong."""
    sys.stderr.write(f"sluice: {text}\n")
