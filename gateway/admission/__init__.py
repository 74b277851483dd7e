"""Admission: may it enter now? See `admission` for the whole, `buckets` for how it is counted."""

from gateway.admission.admission import Admission, Allowance, Sender, Ticket
from gateway.admission.buckets import ROOM_BYTES, Buckets
from gateway.admission.limits import Limit, check_limits, parse_limits

__all__ = [
    "ROOM_BYTES",
    "Admission",
    "Allowance",
    "Buckets",
    "Limit",
    "Sender",
    "Ticket",
    "check_limits",
    "parse_limits",
]
