"""Errors: what the log refuses, and why it may not open."""

from gateway.core.errors import Unavailable


class LogFull(Unavailable):
    """No room for these bytes: the budget is used, the disk is full, or the disk is slower than the senders."""


class LogPoisoned(Unavailable):
    """The disk failed while these bytes were written; they may or may not be there, so the answer is no."""


class LogLocked(Exception):
    """Another process has this log open."""


class UnknownFormat(Exception):
    """A segment was written by a newer version; opening it with this one could lose data."""
