"""Errors: ClickHouse's error codes, their text on the wire, and the HTTP status of each.

The engine's own exceptions arrive as text (`Code: 60. DB::Exception: … (UNKNOWN_TABLE)`), sometimes wrapped in
themselves two or three times; `parse` takes them apart and `EngineError.text` writes them as a server does:

    Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE) (version 26.9.2.1)

Source: ClickHouse, src/Common/ErrorCodes.cpp and src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
"""

import re
from typing import Final

NOT_IMPLEMENTED: Final = 48
SYNTAX_ERROR: Final = 62
UNKNOWN_FORMAT: Final = 73
UNKNOWN_TYPE_OF_QUERY: Final = 78
UNKNOWN_COMPRESSION_METHOD: Final = 89
UNKNOWN_SETTING: Final = 115
READONLY: Final = 164
TOO_MANY_SIMULTANEOUS_QUERIES: Final = 202
SOCKET_TIMEOUT: Final = 209
NETWORK_ERROR: Final = 210
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: Final = 216
QUERY_IS_TOO_LARGE: Final = 229
ABORTED: Final = 236
NOT_ENOUGH_SPACE: Final = 243
CANNOT_DECOMPRESS: Final = 271
TOO_MANY_BYTES: Final = 307
INTO_OUTFILE_NOT_ALLOWED: Final = 358
SESSION_NOT_FOUND: Final = 372
SESSION_IS_LOCKED: Final = 373
INVALID_SESSION_TIMEOUT: Final = 374
TOO_MANY_ROWS_OR_BYTES: Final = 396
BAD_REQUEST_PARAMETER: Final = 408
UNKNOWN_ROLE: Final = 511
AUTHENTICATION_FAILED: Final = 516
UNKNOWN_EXCEPTION: Final = 1002

_NAMES: Final = {
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    UNKNOWN_TYPE_OF_QUERY: "UNKNOWN_TYPE_OF_QUERY",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    READONLY: "READONLY",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    SOCKET_TIMEOUT: "SOCKET_TIMEOUT",
    NETWORK_ERROR: "NETWORK_ERROR",
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    ABORTED: "ABORTED",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    TOO_MANY_BYTES: "TOO_MANY_BYTES",
    INTO_OUTFILE_NOT_ALLOWED: "INTO_OUTFILE_NOT_ALLOWED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    TOO_MANY_ROWS_OR_BYTES: "TOO_MANY_ROWS_OR_BYTES",
    BAD_REQUEST_PARAMETER: "BAD_REQUEST_PARAMETER",
    UNKNOWN_ROLE: "UNKNOWN_ROLE",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# Parse errors and the like are 400, unknown names 404. CANNOT_READ_ALL_DATA (33), CANNOT_DECOMPRESS and the parameter
# errors are 500 on a server; here they are 400, for they are the caller's to mend.
_BAD_REQUEST: Final = frozenset(
    {
        6,
        15,
        25,
        26,
        27,
        32,
        33,
        37,
        38,
        41,
        44,
        53,
        62,
        72,
        89,
        117,
        123,
        167,
        168,
        223,
        271,
        321,
        374,
        376,
        408,
        427,
        441,
    }
    | {456, 457, 675, 676}
)
_NOT_FOUND: Final = frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 372, 511})
_STATUS: Final = {
    **dict.fromkeys(_BAD_REQUEST, 400),
    **dict.fromkeys(_NOT_FOUND, 404),
    **dict.fromkeys({192, 193, 512, 516}, 403),
    194: 401,
    48: 501,
    76: 503,
    159: 408,
    209: 408,
    229: 413,
    236: 503,
    307: 413,
    439: 503,
}

_CODE = re.compile(r"Code: (\d+)\. [A-Za-z]+::[A-Za-z]*Exception: ")

# What the engine quotes of the clauses we put into a statement is none of the client's words.
_OURS = re.compile(
    r"\s*INTO OUTFILE '/dev/fd/\d+' APPEND\s*FORMAT \w+ ?"
    r"|\s*FROM INFILE '/dev/fd/\d+' COMPRESSION 'none'(?=\s)"
    r"| ?\(in file/uri /dev/fd/\d+\):?"
    r"|: While executing File: data for INSERT was parsed from file"
)
_TAIL = re.compile(r"(?:[.:]?\s*\((?P<name>[A-Z][A-Z0-9_]+)\)|\s*\(version [^()]*(?:\([^()]*\))?\s*\))\.?\s*$")


class EngineError(Exception):
    """A statement, or a request, that failed: ClickHouse's code, name and sentence."""

    def __init__(self, code: int, message: str, name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.name = name or _NAMES.get(code, "UNKNOWN_EXCEPTION")

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """Return the error as a server of `version` writes it."""
        message = str(self)
        dot = "" if message.endswith((".", ". ", "\n")) else "."
        return f"Code: {self.code}. DB::Exception: {message}{dot} ({self.name}) (version {version})"


def parse(text: str) -> EngineError:
    """Return the error that the engine's exception text tells of."""
    found = _CODE.search(text)
    if found is None:
        return EngineError(UNKNOWN_EXCEPTION, text.strip() or "the engine failed without a message")
    code = found[1]
    message = text[found.start() :]
    while (again := _CODE.match(message)) is not None and again[1] == code:
        message = message[again.end() :]
    name = ""
    while (tail := _TAIL.search(message)) is not None:
        name = tail["name"] or name
        message = message[: tail.start()]
    return EngineError(int(code), _OURS.sub("", message).strip(), name)
