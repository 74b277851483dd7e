"""Sluice: an event-ingestion gateway and data API for ClickHouse."""

__version__ = "0.1.0"
