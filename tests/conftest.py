"""For every test: no line of log on the terminal but what a test asks for."""

import pytest
import structlog


def _drop(_logger, _method, _event):
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def _quiet_logs():
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()
