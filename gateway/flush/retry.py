"""Retry: which failure is worth another try, and when. Pure.

    kind       meaning                                         what happens
    OUTAGE     no answer, or the server cannot work now        all streams wait together, then one tries again
    BUSY       this insert cannot be taken now                 its stream waits, the others go on
    HOLD       the way is blocked until a person acts          its stream waits longer, and an alert can see it
    DATA       the rows themselves are refused                 bisected: the refused row is quarantined, the rest lands

Nothing is dropped and no number of attempts ends a batch: only DATA has an end, a single row. An error nobody has
classified is HOLD, because holding is the mistake that can be mended.

Codes: ClickHouse, src/Common/ErrorCodes.cpp.
"""

import re
from enum import Enum
from typing import Final

from gateway.clickhouse.errors import PARTLY


class Kind(Enum):
    """What a failed insert means for its batch."""

    OUTAGE = "outage"
    BUSY = "busy"
    HOLD = "hold"
    DATA = "data"


_BUSY: Final = {
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    265: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    473: "DEADLOCK_AVOIDED",
    517: "CANNOT_ASSIGN_ALTER",
}

_OUTAGE: Final = {
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    198: "DNS_ERROR",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    279: "ALL_CONNECTION_TRIES_FAILED",
    425: "SYSTEM_ERROR",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}

_DATA: Final = {
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    129: "TOO_LARGE_STRING_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    153: "ILLEGAL_DIVISION",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    441: "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    636: "CANNOT_EXTRACT_TABLE_STRUCTURE",
    675: "CANNOT_PARSE_IPV4",
    676: "CANNOT_PARSE_IPV6",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
}


# How ClickHouse marks an error of a materialized view. The rows are in their table by then, only the view lacks them:
# repeating the insert under its token mends the view once it is mended, and inserting the rows again in smaller batches
# would double them.
_VIEW: Final = "while pushing to view"
_OURS: Final = re.compile(r"`?ws_[0-9a-f]{12}`?\.")
_TABLE: Final = re.compile(r"\s*`?(\w+)`?")
_REASON_CHARS_MAX: Final = 500


def classify(code: int | None, message: str = "") -> Kind:
    """Return what ClickHouse's error `code` means; None is no answer at all."""
    if _VIEW in message:
        return Kind.HOLD
    if code is None or code in _OUTAGE:
        return Kind.OUTAGE
    if code in _BUSY:
        return Kind.BUSY
    # Other shards may have their rows of it: in halves, under other tokens, these would be there twice.
    return Kind.DATA if code in _DATA and not message.startswith(PARTLY) else Kind.HOLD


def view_failure(message: str) -> tuple[str, str]:
    """Return the table of the view that failed and why, without names that only we know; ("", "") if none did.

    The table is "" if the message does not name it.
    """
    if _VIEW not in message:
        return "", ""
    reason, _, rest = _OURS.sub("", message).partition(_VIEW)
    found = _TABLE.match(rest)
    return found[1] if found else "", reason.rstrip(" :")[:_REASON_CHARS_MAX]


_FIRST_SECONDS: Final = {Kind.OUTAGE: 0.1, Kind.BUSY: 0.2, Kind.HOLD: 1.0}
_LAST_SECONDS: Final = {Kind.OUTAGE: 2.0, Kind.BUSY: 10.0, Kind.HOLD: 30.0}


def delay_seconds(kind: Kind, attempts: int, chance: float) -> float:
    """Return how long to wait before the next attempt: doubling, capped, between half and all of it by chance.

    Args:
        kind: not DATA.
        attempts: how many there were, at least 1.
        chance: 0 ≤ chance < 1, drawn by the caller.
    """
    longest = min(_FIRST_SECONDS[kind] * 2.0 ** min(attempts - 1, 16), _LAST_SECONDS[kind])
    return longest * (0.5 + chance / 2)
