"""Admission: may it enter now? See `admission` for the whole, `buckets` for how it is counted."""

from gateway.admission.admission import Admission, Allowance, Sender, Ticket
from gateway.admission.buckets import ROOM_BYTES, Buckets
from gateway.admission.limits import NAMES, Limit, parse_limits, read_number

__all__ = [
    "NAMES",
    "ROOM_BYTES",
    "Admission",
    "Allowance",
    "Buckets",
    "Limit",
    "Sender",
    "Ticket",
    "parse_limits",
    "read_number",
]
