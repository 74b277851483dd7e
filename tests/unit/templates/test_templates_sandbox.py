"""No way out, and no way to take too much. Source: templates.md §3; common ways out of template engines."""

import time

import pytest

from gateway.core.errors import GatewayError
from gateway.templates import LimitExceeded, TemplateError
from tests.support.templates import reason, sql

OUT = [
    "x.__class__",
    "''.__class__.__mro__[1].__subclasses__()",
    "().__class__.__base__",
    "[].__getattribute__('append')",
    "f'{x.__class__}'",
    "f'{x!r}'",
    "'{0.__class__}'.format(x)",
    "'{x.__class__}'.format_map({'x': 1})",
    "x.format",
    "__import__('os').system('id')",
    "__builtins__['eval']",
    "__name__",
    "_x",
    "(lambda: 1).__globals__",
    "(lambda: 1).__code__",
    "[].append.__self__",
    "getattr(x, 'upper')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "globals()",
    "locals()",
    "vars()",
    "dir(x)",
    "type(x)",
    "object()",
    "super()",
    "memoryview(b'')",
    "print(1)",
    "input()",
    "breakpoint()",
    "help()",
    "id(x)",
    "setattr(x, 'a', 1)",
    "x.mro()",
    "x.gi_frame",
    "(i for i in x).gi_frame.f_back",
    "(yield)",
    "(await x)",
    "(a := 1)",
    "[*x]",
    "max(*x)",
    "dict(**x)",
    "sql_and(**{'1=1 or a': 1})",
    "{**x}",
    "lambda *a: a",
    "lambda a=1: a",
    "lambda _a: 1",
    "[_a for _a in x]",
    "b'x'",
    "...",
    "1j",
    "x.encode()",
    "x.translate({})",
    "run.names",
    "String.__call__(x)",
    "String(run=1)",
    "Missing",
]


@pytest.mark.parametrize("expression", OUT)
def test_there_is_no_way_out(expression):
    for text in (
        f"{{{{ {expression} }}}}",
        f"{{% set r = {expression} %}}{{{{r}}}}",
        f"{{% if {expression} %}}{{% end %}}{{{{y}}}}",
    ):
        with pytest.raises(TemplateError) as caught:
            sql(text, x="a")
        assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    ["import os", "x: int = 1", "def f(): pass", "del x", "x.y = 1", "_x = 1", "__builtins__ = 1", "global x", "x[0:1] = [1]",
     "raise x", "return 1", "*a, b = x", "with x: pass", "assert x", "x = y = yield"],
)  # fmt: skip
def test_set_only_sets(statement):
    with pytest.raises(TemplateError):
        sql(f"{{% set {statement} %}}{{{{x}}}}", x="abc")


def test_a_type_and_a_blocked_name_are_no_values():
    assert reason("{% set r = str(isinstance) %}{{r}}").startswith("Required parameter is not defined")
    assert sql("{% set r = str([lambda: 1, {'k': symbol('a')}]) %}{{r}}") == "'[function, {\\'k\\': \\'\\`a\\`\\'}]'"
    assert reason("{% set r = list(map(eval, ['1'])) %}{{r}}", x="a").endswith("is not a function")
    assert reason("{% set r = list(map(x, ['1'])) %}{{r}}", x="eval").endswith("is not a function")


HOSTILE = [
    "{% set a = 'a' * 10**9 %}",
    "{% set a = [1] * 10**9 %}",
    "{% set a = 10**9 * 'a' %}",
    "{% set a = 9 ** 9 ** 9 %}",
    "{% set a = 2 ** 2000 ** 2 %}",
    "{% set a = 1 << 10**10 %}",
    "{% set a = 1 %}{% while True %}{% set a = a * 10 ** 300 %}{% end %}",
    "{% set a = 'ab' %}{% for i in range(100) %}{% set a = a + a %}{% end %}",
    "{% set a = [1] %}{% for i in range(100) %}{% set a = a + a %}{% end %}",
    "{% set a = [1] * 9 %}{% for i in range(30) %}{% set a = [a, a, a, a] %}{% end %}{% set b = str(a) %}",
    "{% set a = [1] %}{% set b = [1] %}{% for i in range(40) %}{% set a = [a, a] %}{% set b = [b, b] %}{% end %}{% if a == b %}{% end %}",
    "{% set a = [] %}{% set a.append(a) %}{% set b = str(a) %}",
    "{% set a = [] %}{% set a.append(a) %}{% if a == [a] %}{% end %}",
    "{% set a = [] %}{% for i in range(99999) %}{% set a = [a] %}{% end %}{% set b = sorted([a, a]) %}",
    "{% for i in range(10**8) %}{% end %}",
    "{% for i in range(10**30) %}x{% end %}",
    "{% while 1 %}{% end %}",
    "{% while 1 %}{% try %}{% set a = [1] * 10**9 %}{% except %}{% end %}{% end %}",
    "{% try %}{% while 1 %}{% end %}{% except %}caught{% end %}",
    "{% try %}{% while 1 %}{% end %}{% finally %}{% while 1 %}{% end %}{% end %}",
    "{% set a = [i for i in range(10**9)] %}",
    "{% set a = [1 for i in range(2000) for j in range(2000) for k in range(2000)] %}",
    "{% set a = list(range(10**9)) %}",
    "{% set a = set(range(10**5)) %}",
    "{% set a = {i: i for i in range(10**5)} %}",
    "{% set a = sum(range(10**9)) %}",
    "{% set f = lambda n: f(n) %}{% set a = f(1) %}",
    "{% set f = lambda n: f(n - 1) + f(n - 1) if n else 1 %}{% set a = f(23) %}",
    "{% set a = ','.join(['a' * 100000] * 1000) %}",
    "{% set a = ('a' * 100000).replace('a', 'a' * 100000) %}",
    "{% set a = 'a'.center(10**9) %}",
    "{% set a = 'a'.zfill(10**9) %}",
    "{% set a = ('\\t' * 1000).expandtabs(10**7) %}",
    "{% set a = '%1000000000d' % 1 %}",
    "{% set a = f'{1:1000000000}' %}",
    "{% set a = f'{1:.1000000000f}' %}",
    "{% set a = round(5, -10**9) %}",
    "{% for i in range(3000) %}{{'" + "x" * 1000 + "'}}{% end %}",
    "{% set a = 'x' * 999999 %}{{a}}{{a}}",
    "{% set a = int('9' * 100000) %}",
    "{% set a = [[1] * 90000] * 90000 %}{% if [1] in a %}{% end %}{% set b = a == [[2] * 90000] %}{% set c = str(a) %}",
    "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% set b = a.count('b') %}{% end %}",
    "{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{% if a == a + 'b' %}{% end %}{% end %}",
    "{% set a = list(range(90000)) %}{% for i in range(100000) %}{% set b = sorted(a) %}{% end %}",
    "{% set a = range(10**18) %}{% if 'x' in a %}{% end %}{% set b = len(a) %}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_template_is_stopped_soon(text):
    started = time.process_time()

    with pytest.raises(TemplateError):
        sql(text)

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        "{{" + "(" * 5000 + ")" * 5000 + "}}",
        "{{" + "-" * 20000 + "1}}",
        "{{" + "+".join(["1"] * 10000) + "}}",
        "{{" + "[" * 100 + "]" * 100 + "}}",
        "{% if 1 %}" * 500 + "{% end %}" * 500,
        "{{'" + "'" * 30000,
        "{{" + "'\\" * 15000,
        "{" * 200_000,
        "{% if '" * 20_000,
        "{{1}}" * 50_000,
        "{{9" + "9" * 5000 + "}}",
        "{{x\0}}",
        "x" * 300_000,
        "{% set x = lambda: " * 3000,
    ],
    ids=range(14),
)
def test_a_hostile_text_is_refused_soon(text):
    started = time.process_time()

    try:
        sql(text, x="a")
    except GatewayError:
        pass

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "value",
    ["a," * 500_000, ["a"] * 200_000, [[[[[[["a"]]]]]]] * 20_000, {str(i): i for i in range(200_000)}, "9" * 1_000_000],
    ids=range(5),
)
@pytest.mark.parametrize(
    "call", ["String(x)", "Int32(x)", "Array(x, 'Int8')", "Array(x)", "JSON(x)", "split_to_array(x)", "x"]
)
def test_a_hostile_value_is_refused_or_written_soon(call, value):
    started = time.process_time()

    try:
        sql(f"{{{{{call}}}}}", x=value)
    except TemplateError:
        pass

    assert time.process_time() - started < 2


def test_deeply_nested_values_of_a_request_are_refused():
    value = []
    for _ in range(5000):
        value = [value]

    with pytest.raises(LimitExceeded):
        sql("{{x}}", x=value)
    assert "recursion" in reason("{{JSON(x)}}", x="[" * 100_000)


def test_ordinary_amounts_are_fine():
    ids = ",".join(str(number) for number in range(20_000))

    assert sql("{{Array(ids, 'UInt64')}}", ids=ids) == f"[{ids}]"
    text = "{% set out = [] %}{% for v in ids %}{% if v % 2 == 0 %}{% set out.append(v * 2) %}{% end %}{% end %}{{len(out)}}{{Array(ids, 'Int32')}}"
    assert sql(text, ids=ids).startswith("10000[0,1,")
    assert len(sql("{% for i in range(5000) %}{{i}}, {% end %}")) > 20_000
