"""The language means what Python means, and nothing that is written makes it fail in a way of its own."""

import warnings

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.templates import CustomError, LimitExceeded, TemplateError, compile_template
from tests.support.templates import NOW, sql

BOUNDED = settings(max_examples=200, deadline=None)

FRAGMENTS = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{{!", "{% if ", "{% elif ", "{% else %}", "{% end %}", "{% for ", "{% while ", "{% set ", "{% try %}",
    "{% except Exception as e %}", "{% finally %}", "{% break %}", "{% continue %}", "{% comment ", "x", "y", "e", "ids", " in ", " = ", " == ", " and ",
    " not ", "(", ")", "[", "]", "{", "}", ":", ",", ".", "'", '"', "\\", "1", "-", "*", "**", "0.5", "'a'", "'%s'", " % ", "lambda a: ", " if ", " else ",
    " for a in ", "String(", "Int32(", "Array(", "defined(", "column(", "sql_and(a=", "JSON(", "range(", "len(", "map(", "sorted(", "str(", "int(",
    ".split(", ".get(", ".append(", ".join(", ".replace(", ".__class__", "f'{x}'", "default=", "None", "True", "tb_secret('s')", "error('x')", "\n", " ", "#", "SELECT",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join) | st.text(max_size=30))
@example("{{x if}}")
@example("{% set x[0] = 1 %}")
@example("{% for x[y] in ids %}{% end %}")
@example("{% set a, (b, c) = ids, x %}")
@example("{% set d = {} %}{% set d[[]] = 1 %}")
@example("{% set ids.pop(9) %}")
@example("{% set r = [1, 'a'] %}{% set r.sort() %}")
@example("{% set r = sorted(x, key=1) %}")
@example("{% set r = {'a': {1}} %}{{custom_error(r)}}")
@example("{{x.join(5)}}")
@example("{% set r = 'a'.split('') %}")
@example("{% set r = chr(-1) %}")
@example("{% set r = 10.0 ** 400 %}")
@example("{% set r = (-1) ** 0.5 %}")
@example("{% set r = range(1, 2, 0) %}")
@example("{% set r = [][None] %}")
@example("{% set r = x[::0] %}")
@example("{{max_threads(None)}}{{backend_hint([])}}{{cache_ttl([])}}")
@example("{{columns(1, [], {})}}")
@example("{{date_diff_in_days(1, None)}}")
def test_whatever_is_written_is_rendered_or_refused_in_words(text):
    try:
        template = compile_template("%" + text)
    except TemplateError:
        return
    assert isinstance(template.parameters(), list)
    for params in ({}, {"x": "a,b", "y": "1"}, {"x": ["1"], "ids": "1,2"}, {"x": {"k": [None]}}):
        said = refusal(lambda params=params: template.render(params, secrets={"s": "v"}, now=NOW))
        assert said is None or (said and " at 0x" not in said)
    assert refusal(lambda: template.check(now=NOW)) != ""


def refusal(act):
    """The sentence with which `act` fails; None if it does not."""
    try:
        act()
    except GatewayError as error:
        return str(error)
    return None


numbers = st.integers(-20, 20).map(str) | st.sampled_from(["0.5", "2.0", "True", "False"])
texts = st.sampled_from(["''", "'a'", "'ab,c'", "'12'", "'é %s'", "x", "y"])
names = st.sampled_from(["x", "y", "n"])


def grown(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", ">", ">=", "==", "!=", "in", "and", "or"]), inner).map(
            lambda found: f"({found[0]} {found[1]} {found[2]})"
        ),
        pair.map(lambda found: f"({found[0]} ** 2 if {found[1]} else not {found[0]})"),
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]"),
        pair.map(lambda found: f"{{'k': {found[0]}}}.get({found[1]}, 'd')"),
        pair.map(lambda found: f"{found[0]}[{found[1]}]"),
        pair.map(lambda found: f"{found[0]}[{found[1]}:]"),
        inner.map(lambda found: f"[v for v in {found} if v]"),
        inner.map(lambda found: f"(lambda n: [n, {found}])(7)"),
        st.tuples(st.sampled_from(["len", "str", "int", "sorted", "list", "sum", "max", "min", "abs", "bool", "any"]), inner).map(
            lambda found: f"{found[0]}({found[1]})"
        ),
        st.tuples(inner, st.sampled_from(["upper()", "split(',')", "strip('a')", "count('a')", "startswith('a')", "zfill(4)", "index(1)", "isdigit()"])).map(
            lambda found: f"{found[0]}.{found[1]}"
        ),
        inner.map(lambda found: f"[[i, v] for i, v in enumerate({found})]"),
        inner.map(lambda found: f"f'<{{{found}}}>'" if not set(found) & set("'\"\\{}") else found),
    )  # fmt: skip


BUILTINS = {
    name: __builtins__[name]
    for name in ("len", "str", "int", "sorted", "list", "sum", "max", "min", "abs", "bool", "any", "enumerate")
}


@BOUNDED
@given(st.recursive(st.one_of(numbers, texts, names), grown, max_leaves=8), st.sampled_from(["", "a", "3", "b,a"]))
@example("(x in [1, [2]])", "a")
@example("[[] is [], 1 is None, x is not None]", "a")
@example("[v for v in {'k': 1}.get('k', 'd') if v]", "a")
def test_an_expression_means_what_it_means_in_python(expression, x):
    assert ours(expression, x) in (pythons(expression, x), "too much")


def pythons(expression, x):
    """The value as JSON; None if there is none."""
    known = {"__builtins__": BUILTINS, "x": x, "y": "12", "n": 4}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return orjson.dumps({"r": eval(expression, known)})
    except Exception:
        return None


def ours(expression, x):
    try:
        sql(f"{{% set n = 4 %}}{{% set r = {expression} %}}{{{{custom_error({{'r': r}})}}}}", x=x, y="12")
    except CustomError as error:
        return error.body
    except LimitExceeded:
        return "too much"
    except TemplateError:
        return None
    raise AssertionError("custom_error did not answer")
