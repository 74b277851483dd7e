"""Commands: `sluice …` run to its end in this process, where a start would cost more than all it does."""

import os
from contextlib import redirect_stderr
from io import StringIO
from typing import NamedTuple

import pytest

from gateway.cli import main


class Ran(NamedTuple):
    """What became of a command."""

    returncode: int
    stderr: str


def environment(secret: str = "") -> dict[str, str]:
    """This process's environment, with no setting of Sluice in it but, where it is given, the secret."""
    names = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return names | ({"SLUICE_SECRET": secret} if secret else {})


def sluice(*arguments: object, secret: str = "") -> Ran:
    """Run a command, with no setting but what is given."""
    said = StringIO()
    with redirect_stderr(said), pytest.MonkeyPatch.context() as names:
        for name in os.environ.keys() - environment(secret).keys():
            names.delenv(name)
        if secret:
            names.setenv("SLUICE_SECRET", secret)
        return Ran(main([str(each) for each in arguments]), said.getvalue())
