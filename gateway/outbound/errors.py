"""Errors: why nothing was fetched, in sentences for the client who named the URL; no address of ours is in them."""

from gateway.core.errors import InvalidRequest


class FetchRefused(InvalidRequest):
    """It will not do better if it is tried again: the sentence says what to change."""


class FetchFailed(InvalidRequest):
    """It may do better later: no answer, a broken one, or a server in trouble."""
