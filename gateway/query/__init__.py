"""Queries: user SQL fenced, run within limits, and answered in the format it asks for."""
