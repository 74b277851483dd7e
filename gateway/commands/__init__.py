"""Commands: what an operator does beside serving. `cli` reads the command line, and imports a command when it runs."""

import sys
from typing import Final

EXIT_FAILED: Final = 1

ADOPT_HELP: Final = """\
Put into ClickHouse, each row once, what a node that never comes back still owes: rows it answered for. Give it the
settings of a node that runs (database, ClickHouse), and the lost node's data directory: moved here, or its volume
mounted.

  sluice log adopt --clickhouse-url … --database-url … /mnt/lost-node

Other nodes may run meanwhile, the one that is lost must not: its directory is refused while it is in use, as is that of
another installation. Logs are emptied in place and then removed. Killed in the middle, run it again: a batch that has
landed is not stored twice, be it by the lost node. Exit code 1: something is left, and why is said.
Files of imports that lie there are another matter: `sluice worker --data-dir DIR` does these jobs."""

DOWNGRADE_HELP: Final = """\
Go back to an earlier revision of the metadata database, for an earlier version of Sluice, which says at its start which
revision it knows. Said twice, since what later revisions brought is dropped with all that is in it:

  sluice backup /backups                  first
  sluice metadata status                  the revisions, and what each brought
  sluice metadata downgrade 0002 0002     with the newer version, every node and worker stopped

It happens whole or not at all, and is refused while gateways use the database. A start of the newer version brings it
up again, without what was dropped."""


def say(text: str) -> None:
    """Show a person `text`."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Tell a person what is wrong."""
    sys.stderr.write(f"sluice: {text}\n")
