"""JSONPath: the way from an event to the value of a column.

    $                      the whole record
    $.user.name            a key, and a key in it
    $.tags[:]              every element of an array
    $.items[:].sku         a field of every element
    $['a b'].c             keys with blanks or dots (ours; the wire has no way to write them)

Nothing else of JSONPath exists here: no filters, indexes, wildcards or recursive descent; none was found in 420 public
data sources. Keys are case-sensitive.

**Invariant:** a step equal to `EACH` is always the array step; a key that is spelled `[:]` is refused.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.schema.errors import SchemaError

EACH: Final = "[:]"
"""The step that stands for every element of an array."""

# Public data sources go four levels deep; an event may nest 64.
STEPS_MAX: Final = 32
PATH_CHARS_MAX: Final = 1024

_STEP: Final = re.compile(
    r"""
      (?P<each> \[:\] )
    | \. (?P<key> [^.\[\]'"`\\\s*?()@,]++ )
    | \[ ' (?P<single> [^'`\\]++ ) ' \]
    | \[ " (?P<double> [^"`\\]++ ) " \]
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path.

    Attributes:
        text: as written, such as `$.items[:].sku`.
        steps: keys and `EACH`: `("items", EACH, "sku")`; `()` is the whole record.
    """

    text: str
    steps: tuple[str, ...]

    @property
    def array_depth(self) -> int:
        """How many arrays lie on the way."""
        return self.steps.count(EACH)


def parse_jsonpath(text: str) -> JsonPath:
    """Return the path `text` spells, the `json:` prefix already off.

    Raises:
        SchemaError: it is no path, or one with a part we do not have.
    """
    text = text.strip()
    if len(text) > PATH_CHARS_MAX:
        raise SchemaError(f"The JSONPath has {len(text)} characters, the limit is {PATH_CHARS_MAX}")
    if not text.startswith("$"):
        raise SchemaError(f"Invalid JSONPath '{text}': it must start with $")
    steps: list[str] = []
    position = 1
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None or not found[0].isprintable():
            raise SchemaError(f"Invalid JSONPath '{text}': {_reason(text[position:])} at position {position + 1}")
        key = found["key"] or found["single"] or found["double"]
        if key == EACH:
            raise SchemaError(f"Invalid JSONPath '{text}': a key may not be called {EACH}")
        steps.append(key or EACH)
        position = found.end()
    if steps and steps[0] == EACH:
        raise SchemaError(f"Invalid JSONPath '{text}': a record is an object, so the path must start with a key")
    if len(steps) > STEPS_MAX:
        raise SchemaError(f"Invalid JSONPath '{text}': {len(steps)} steps, the limit is {STEPS_MAX}")
    return JsonPath(text, tuple(steps))


def _reason(rest: str) -> str:
    if rest.startswith(".."):
        return "recursive descent (..) is not supported"
    if rest.startswith(("[*", ".*")):
        return "wildcards are not supported, use [:] for every element of an array"
    if rest.startswith(("[?", "[(")):
        return "filters are not supported"
    if re.match(r"\[-?\d", rest):
        return "array indexes are not supported, use [:] for every element"
    return "unexpected characters, keys with blanks or dots are written ['like this']"
