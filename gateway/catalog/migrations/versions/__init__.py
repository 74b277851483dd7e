"""Versions: the revisions, in the order of their numbers. What is released is not changed any more."""
