"""Configuration: the settings, their one reader, and where things lie in the data directory."""

from gateway.config.layout import (
    WorkerIdentity,
    engine_directory,
    limits_file,
    log_directory,
    metrics_directory,
    orphan_directories,
    place_of,
    restoring_directory,
    uploads_directory,
    with_secret,
)
from gateway.config.reader import ConfigurationError, Loaded, as_toml, certificate_of, clickhouse_address, load
from gateway.config.settings import (
    DEFAULTS,
    SPECS,
    WORKER_SETTINGS,
    Settings,
    Spec,
    file_variable,
    flag,
    format_value,
    variable,
)

__all__ = [
    "DEFAULTS",
    "SPECS",
    "WORKER_SETTINGS",
    "ConfigurationError",
    "Loaded",
    "Settings",
    "Spec",
    "WorkerIdentity",
    "as_toml",
    "certificate_of",
    "clickhouse_address",
    "engine_directory",
    "file_variable",
    "flag",
    "format_value",
    "limits_file",
    "load",
    "log_directory",
    "metrics_directory",
    "orphan_directories",
    "place_of",
    "restoring_directory",
    "uploads_directory",
    "variable",
    "with_secret",
]
