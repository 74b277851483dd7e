"""Shapes against the fence: whatever the text and its literals, both ways give the same query, or the same refusal."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.query.fence import fence
from gateway.query.resolved import Inlined, Resolved
from gateway.query.shapes import Shapes
from gateway.schema.names import quote_string
from tests.support.query import ATTACKS, SELECTS, resolve

LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|(?<![\w.])\d+(?![\w.])", re.DOTALL)
HOSTILE = [
    "", "x", "' OR 1=1 --", "\\", "\\'", "'; DROP TABLE x; --", "*/ 1 /*", "`", '"', "$$", "\n", "\0", "ü€😀", "{x:String}",
    "groupConcat(file('x'))", "a String ALIAS file('/etc/passwd')", "%", "_cte1_a", "\\x80", "x" * 300,
]  # fmt: skip
VALUES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
NUMBERS = st.integers(0, 10**18 - 1)


def outcome(run, *arguments):
    try:
        found = run(*arguments)
    except GatewayError as error:
        return type(error).__name__, str(error)
    return (
        re.sub(r"_bound\d+", "_bound", found.sql), found.format, found.settings, found.sources, found.hides,
        sorted(found.bound.values()), found.reads_only_service,
    )  # fmt: skip


def swapped(text, chosen):
    """The text with other literals of the same kind."""
    return LITERAL.sub(lambda found: chosen(found[0]), text)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_query_with_any_literals_is_what_the_fence_makes_of_it(data):
    shapes = Shapes()
    text = data.draw(st.sampled_from(SELECTS + ATTACKS))
    for _ in range(4):
        other = swapped(text, lambda one: quote_string(data.draw(VALUES)) if one[0] == "'" else str(data.draw(NUMBERS)))
        assert outcome(shapes.fence, other, resolve) == outcome(fence, other, resolve)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES, NUMBERS, st.booleans()), min_size=3, max_size=6))
def test_pipes_rendered_with_any_values_too(calls):
    shapes = Shapes()
    for one, two, number, is_other in calls:
        texts = {
            "inner": f"SELECT * FROM events WHERE kind = {quote_string(one)} AND n IN [{number}, 1] AND {{pw:String}} = ''",
            "outer": f"SELECT count() AS c, {quote_string(two)} AS label FROM inner AS a JOIN inner AS b ON a.id = b.id "
            f"WHERE a.user LIKE {quote_string(two)} LIMIT toInt32({quote_string(str(number))})",
        }

        def inside(name, texts=texts, one=one, is_other=is_other):
            if name in texts:
                return Inlined(
                    name, name, texts[name], inside, {"pw": one}, "c > 1" if name == "outer" and is_other else None
                )
            return Resolved("phys", "t_other" if is_other else "t_events") if name == "events" else None

        text = f"SELECT * FROM outer, inner AS i WHERE i.user = {quote_string(two)}"
        assert outcome(shapes.fence, text, inside) == outcome(fence, text, inside)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_recipe_is_followed_for_values_like_these(value, monkeypatch):
    shapes = Shapes()
    text = "SELECT * FROM events WHERE kind = {} AND id > toUInt64({}) AND n IN [{}, 2] LIMIT {}"
    for number in range(2):
        shapes.fence(text.format("'a'", f"'{number}'", number, number), resolve)
    other = text.format(quote_string(value), quote_string(value), 77, 8)
    expected = outcome(fence, other, resolve)

    monkeypatch.setattr("gateway.query.shapes.fence", None)  # it would have to be called
    assert outcome(shapes.fence, other, resolve) == expected


def test_what_the_fence_looks_into_is_never_taken_from_a_recipe():
    shapes = Shapes()
    for text in (
        "SELECT arrayReduce('{}', [1])",
        "SELECT * FROM values('{}', 1)",
        "SELECT 1 SETTINGS max_threads = {}",
        "SELECT * FROM generateRandom('{}')",
    ):
        for literal in ("1", "2", "3", "sum", "groupConcat", "a String", "a String ALIAS file('x')", "max"):
            literal = literal.replace("'", "\\'")  # noqa: PLW2901
            assert outcome(shapes.fence, text.format(literal), resolve) == outcome(fence, text.format(literal), resolve)
