"""Telemetry: metrics and logs, the same in every process."""
