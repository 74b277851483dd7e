"""Configuration: the settings, their one reader, and where things lie in the data directory."""

from gateway.config.layout import (
    WorkerIdentity,
    engine_directory,
    log_directory,
    metrics_directory,
    orphan_directories,
    with_secret,
)
from gateway.config.reader import ConfigurationError, Loaded, clickhouse_address, load
from gateway.config.settings import DEFAULTS, SPECS, Settings, Spec, flag, format_value, variable

__all__ = [
    "DEFAULTS",
    "SPECS",
    "ConfigurationError",
    "Loaded",
    "Settings",
    "Spec",
    "WorkerIdentity",
    "clickhouse_address",
    "engine_directory",
    "flag",
    "format_value",
    "load",
    "log_directory",
    "metrics_directory",
    "orphan_directories",
    "variable",
    "with_secret",
]
