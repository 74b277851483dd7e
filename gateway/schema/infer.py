"""Infer: the columns that hold a sample of events, so that none of these events would be quarantined.

    {"id": 1, "who": {"name": "Ada"}, "tags": ["a"], "items": [{"sku": "x"}, {}]}

    id          Int16                      $.id
    items_sku   Array(Nullable(String))    $.items[:].sku
    tags        Array(String)              $.tags[:]
    who_name    String                     $.who.name

Objects are followed to their leaves, arrays to their elements; what the plain values of a leaf have in common is the
business of `guess`. A leaf that is missing or null in some events is Nullable. An array that is gets `DEFAULT []`,
because an Array cannot be Nullable. An array without elements is Array(String), a leaf that is always null
Nullable(String), and an object without members no column at all.

Where events disagree about the shape (here an object, there a number), the column is a String of the JSON text, at the
place where they part. So it is at the deepest place a path can reach, and where an array inside an array is null.

A name is the path joined with `_`; one that is taken gets `_2`. Columns come in the order of their paths. What has no
column is listed in `left_out`: keys that no JSONPath can spell, and what passes a bound.

Source: analyze.md §2-3, datasources.md §8. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from gateway.schema.columns import COLUMN_NAME_CHARS_MAX, COLUMNS_MAX, Schema, parse_schema
from gateway.schema.engines import Engine, default_sorting_key, parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.guess import Guess
from gateway.schema.jsonpath import EACH, PATH_CHARS_MAX, STEPS_MAX, parse_jsonpath
from gateway.schema.lexer import TEXT_CHARS_MAX, words
from gateway.schema.names import normalize_name
from gateway.schema.sample import PLACES_MAX, Place, Sample, readable

LEFT_OUT_MAX: Final = 20

# MergeTree keeps these names for itself.
_RESERVED_NAMES: Final = words("_row_exists _block_number _block_offset")
_NAME_CHARS_MAX: Final = COLUMN_NAME_CHARS_MAX - len(f"_{COLUMNS_MAX}")
# Of a path to a key: whatever arrays follow, it stays one.
_KEY_PATH_CHARS_MAX: Final = PATH_CHARS_MAX - len(EACH) * STEPS_MAX


@dataclass(frozen=True, slots=True)
class InferredColumn:
    """A column, and what it was inferred from.

    Attributes:
        name: letters, digits and underscores.
        path: the JSONPath.
        recommended_type: Nullable included; no blank in it.
        default: "DEFAULT []", or "".
        present: values found at the path; behind an array, the elements of all events.
        events: events looked at.
    """

    name: str
    path: str
    recommended_type: str
    default: str
    present: int
    events: int

    @property
    def present_pct(self) -> float:
        """Values per event, in two digits; 1 is what clients take for "always there", so 0.999 is not."""
        if self.present == self.events:
            return 1
        share = round(self.present / self.events, 2)
        return min(share, 0.99) if self.present < self.events else share

    @property
    def text(self) -> str:
        """The column as it stands in a schema: ``name Type `json:path` DEFAULT []``, the name without quotes."""
        return " ".join(filter(None, (self.name, self.recommended_type, f"`json:{self.path}`", self.default)))


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a sample says.

    Attributes:
        columns: in the order of their paths; at most `COLUMNS_MAX`.
        events: looked at; 0 if there was nothing to read.
        left_out: what has no column and why, in sentences; at most `LEFT_OUT_MAX`.
    """

    columns: tuple[InferredColumn, ...]
    events: int
    left_out: tuple[str, ...]

    @property
    def text(self) -> str:
        """The schema on one line, with ", " between columns and nowhere else."""
        return ", ".join(column.text for column in self.columns)

    def schema(self) -> Schema:
        """Return the columns as a schema.

        Raises:
            SchemaError: there are none.
        """
        return parse_schema(self.text)


def infer_lines(lines: Iterable[bytes], *, wide: bool = False) -> Inferred:
    """Infer from the first lines of NDJSON; those that hold no JSON object in UTF-8 are passed over.

    Args:
        lines: as many as there are; only as many are read as the bounds of `sample` allow.
        wide: leave room for later values: no integers below Int64, no Float32.
    """
    return infer(readable(lines), wide=wide)


def infer(events: Iterable[Mapping[str, Any]], *, wide: bool = False) -> Inferred:
    """Infer from decoded events; otherwise as `infer_lines`, but all of them are read."""
    sample = Sample()
    for event in events:
        sample.add(event)
    left_out: list[str] = []
    leaves = _kept(list(_leaves(sample.root, _START, sample.root.objects, left_out)), left_out)
    if sample.is_cut:
        left_out.append(f"There are more than {PLACES_MAX} paths: what came after these has no column")
    names = unique_names([leaf.name for leaf in leaves])
    count = sample.root.objects
    columns = tuple(leaf.column(name, count, wide=wide) for leaf, name in zip(leaves, names, strict=True))
    return Inferred(columns, count, tuple(left_out[:LEFT_OUT_MAX]))


def default_engine(schema: Schema) -> Engine:
    """Return a MergeTree sorted as `default_sorting_key` says."""
    return parse_engine({"engine": "MergeTree", "engine_sorting_key": default_sorting_key(schema)}, schema)


@dataclass(frozen=True, slots=True)
class _Way:
    """The way to a place.

    Attributes:
        path: the JSONPath.
        steps: its keys and `EACH`.
        events: that have the first array on the way; None before there was one.
    """

    path: str
    steps: tuple[str, ...]
    events: int | None = None

    @property
    def arrays(self) -> int:
        return self.steps.count(EACH)

    def key(self, key: str) -> "_Way | None":
        """Return the way one key on; None if no JSONPath can spell it."""
        step = path_step(key)
        if not step or len(self.path) + len(step) > _KEY_PATH_CHARS_MAX:
            return None
        return _Way(self.path + step, (*self.steps, key), self.events)

    def each(self, arrays: int) -> "_Way":
        """Return the way to the elements of so many arrays that are here."""
        return _Way(self.path + EACH, (*self.steps, EACH), arrays if self.events is None else self.events)


_START: Final = _Way("$", ())


def path_step(key: str) -> str:
    """Return how a JSONPath spells the step to `key`: `.key`, `['the key']` or `["it's"]`; "" if none can."""
    if '"' in key or ", " in key:  # what ingest does not read; where clients cut a schema into columns
        return ""
    return next((step for step in (f".{key}", f"['{key}']", f'["{key}"]') if _spells(step, key)), "")


def _spells(step: str, key: str) -> bool:
    try:
        return parse_jsonpath(f"${step}").steps == (key,)
    except SchemaError:
        return False


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A place that becomes a column.

    Attributes:
        way: to it.
        guess: of its values; None for the JSON text of whatever is there.
        is_nullable: a value may be missing or null; behind arrays, an element.
        present: values found.
    """

    way: _Way
    guess: Guess | None
    is_nullable: bool
    present: int

    @property
    def events(self) -> int:
        """How many events have it, or the first array on the way to it."""
        return self.present if self.way.events is None else self.way.events

    @property
    def name(self) -> str:
        """The name it should have; never empty, as keys are not."""
        return normalize_name("_".join(step for step in self.way.steps if step != EACH))[:_NAME_CHARS_MAX]

    @property
    def chars_max(self) -> int:
        """The longest text its column may have in a schema."""
        return len(self.way.path) + len(self.name) + len("Array()") * self.way.arrays + 100

    def column(self, name: str, events: int, *, wide: bool) -> InferredColumn:
        kind = self.guess.type(wide=wide) if self.guess else "String"
        kind = f"Nullable({kind})" if self.is_nullable else kind
        kind = "Array(" * self.way.arrays + kind + ")" * self.way.arrays
        default = "DEFAULT []" if self.way.arrays and self.events < events else ""
        return InferredColumn(name, self.way.path, kind, default, self.present, events)


def _leaves(place: Place, way: _Way, chances: int, left_out: list[str]) -> Iterator[_Leaf]:
    """Yield the leaves at and below `place`, which could have had `chances` values; see the module for the rules."""
    is_container = bool(place.objects or place.arrays)
    is_too_deep = len(way.steps) == STEPS_MAX
    has_null_arrays = bool(place.arrays and place.nulls and way.arrays)
    if not is_container or place.is_mixed or is_too_deep or has_null_arrays:
        yield _Leaf(way, None if is_container else place.guess, place.values < chances, place.values)
    elif place.arrays:
        element = place.element or Place()
        yield from _leaves(element, way.each(place.arrays), element.values + element.nulls, left_out)
    else:
        for key, below in sorted(place.members.items(), key=itemgetter(0)):
            found = way.key(key)
            if found is not None:
                yield from _leaves(below, found, chances, left_out)
            else:
                left_out.append(f"No JSONPath can spell the key '{key[:64]}' at {way.path}")


def _kept(leaves: list[_Leaf], left_out: list[str]) -> list[_Leaf]:
    """Return the leaves that become columns, by path; of too many, those that most events have."""
    if len(leaves) > COLUMNS_MAX or sum(leaf.chars_max for leaf in leaves) > TEXT_CHARS_MAX:
        leaves.sort(key=lambda leaf: (-leaf.events, leaf.way.path))
        chars = 0
        for number, leaf in enumerate(leaves):
            chars += leaf.chars_max
            if number == COLUMNS_MAX or chars > TEXT_CHARS_MAX:
                left_out.append(f"Beyond {number} columns there is no room for {len(leaves) - number} paths more")
                del leaves[number:]
                break
    return sorted(leaves, key=lambda leaf: leaf.way.path)


def unique_names(wanted: list[str]) -> list[str]:
    """Return the names, each once: who wants a name first gets it, the others get it with a number behind it."""
    taken = set(_RESERVED_NAMES)
    numbers = Counter[str]()
    names = []
    for name in wanted:
        found = name
        while found in taken or (found != name and found in wanted):
            numbers[name] += 1
            found = f"{name}_{numbers[name] + 1}"
        taken.add(found)
        names.append(found)
    return names
