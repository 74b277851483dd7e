"""For every test: no line of log on the terminal but what a test asks for."""

import pytest
import structlog
from hypothesis import settings

# How long an example takes is the machine's business; a test never asserts it.
settings.register_profile("sluice", deadline=None, print_blob=True)
settings.load_profile("sluice")


def _drop(_logger, _method, _event):
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def _quiet_logs():
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()
