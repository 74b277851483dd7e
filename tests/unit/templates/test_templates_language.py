"""The language: pieces, blocks, what may stand where. Source: templates.md §1, §2, §3, §10."""

import re
from pathlib import Path

import pytest

from gateway.templates import Template, TemplateError, compile_template
from gateway.templates.expressions import FUNCTIONS
from gateway.templates.template import _Cache
from tests.support.templates import NOW, reason, sql


@pytest.mark.parametrize(
    "text, expected",
    [
        ("SELECT {{x}} {% if %}", "SELECT {{x}} {% if %}"),
        ("%SELECT {{x}}", "SELECT 'a'"),
        (" \n% SELECT {{x}} % 2", " \n SELECT 'a' % 2"),
        ("SELECT 1 % {{x}}", "SELECT 1 % {{x}}"),
    ],
)
def test_a_query_is_a_template_if_its_first_character_is_a_percent_sign(text, expected):
    assert compile_template(text).render({"x": "a"}, now=NOW).sql == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{% if x == 'a' %}1{% elif x == 'b' %}2{% else %}3{% end %}", "2"),
        ("{% if defined(y) %}1{% end %}2", "2"),
        ("{% for i in range(3) %}{{i}},{% end %}", "0,1,2,"),
        ("{% for a, b in [(1, 2), (3, 4)] %}{{a}}{{b}};{% end %}", "12;34;"),
        ("{% for i in [1] %}a{% else %}b{% end %}", "ab"),
        ("{% set n = 0 %}{% while n < 3 %}{% set n = n + 1 %}{{n}}{% end %}", "123"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% end %}{{i}}{% end %}", "01"),
        ("{% for i in range(3) %}{% if i == 1 %}{% continue %}{% end %}{{i}}{% end %}", "02"),
        (
            "{% for i in range(2) %}{% for j in range(9) %}{% if j > i %}{% break %}{% end %}{{j}}{% end %};{% end %}",
            "0;01;",
        ),
        ("{% set a = 1 %}{% set b, c = a, 2 %}{% set a += 4 %}{{a}}{{b}}{{c}}", "512"),
        ("{% set a = b = [1] %}{% set a.append(2) %}{% set b[0] = 3 %}{{a}}", "[3, 2]"),
        ("{% try %}{{Int32(x)}}{% except Exception as e %}E{% end %}", "E"),
        ("{% try %}{{Int32(x)}}{% except Exception as e %}{{e}}{% end %}", "'Error validating \\'b\\' to type Int32'"),
        ("{% try %}1{% except %}2{% else %}3{% finally %}4{% end %}", "134"),
        ("{% for i in [1, 2] %}{% try %}{% break %}{% finally %}f{% end %}{% end %}", "f"),
        ("a{# {{nothing}} #}b{% comment {{x}} %}c{% whitespace all %}d", "abcd"),
        ("{{!x}} {%!if%} {#!y#}", "{{x}} {%if%} {#y#}"),
        ("{{{x}}}", "{'b'}"),
        ("-- {{String(x)}}", "-- 'b'"),
        ("{{ String(\n  x,\n  'c'\n) }}", "'b'"),
        ("{% set o = {\n 'k': {'l': 1}} %}{{ o['k']['l'] }}", "1"),
        ("{{ {'k': {'l': 2}}['k']['l'] }}", "2"),
        ("{{ String(y, '}} %} {{') }}{% if x == '%}' %}{% end %}", "'}} \\%} {{'"),
        ("{% if x is None or not x %}1{% elif 1 < 2 <= 2 and x in ('a', 'b') %}2{% end %}", "2"),
        ("  {{x}}\n\t{% if 1 %} {% end %}\n", "  'b'\n\t \n"),
    ],
)
def test_what_a_template_renders_to(text, expected):
    assert sql(text, x="b") == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{% foo %}", "unknown operator: 'foo' at <string>:1"),
        ("\n{% end %}", "Extra {% end %} block at <string>:2"),
        ("{{ }}", "Empty expression at <string>:1"),
        ("{% %}", "Empty block tag ({% %}) at <string>:1"),
        ("\n\n{{ x ", "Missing end expression }} at <string>:3"),
        ("{% if x ", "Missing end block %} at <string>:1"),
        ("{# x", "Missing end comment #} at <string>:1"),
        ("{% else %}", "else outside {'if', 'for', 'while', 'try'} block at <string>:1"),
        ("{% for i in x %}{% elif 1 %}{% end %}", "elif block cannot be attached to for block at <string>:1"),
        ("\n{% if 1 %}", "Missing {% end %} block for if at line 2"),
        ("{% if 1 %}{% else %}{% elif 2 %}{% end %}", "elif after else at <string>:1"),
        ("{% break %}", "break outside {'for', 'while'} block at <string>:1"),
        ("{% try %}{% end %}", "try takes except or finally, and else and finally once, at <string>:1"),
        ("{% endif %}", "unknown operator: 'endif' at <string>:1"),
        ("{{String(from)}}", '"from" is a forbidden word at <string>:1'),
        ("{% if x = 1 %}{% end %}", "invalid syntax at <string>:1"),
        ("{% set x %}{% set x; y %}", "a block takes one statement at <string>:1"),
        ("{% set import os %}", "set takes one assignment, name = expression, at <string>:1"),
        ("{% for i in x: pass\nfor j in y %}{% end %}", "a block takes one statement at <string>:1"),
        ("tb_secret('x')", "Unknown function tb_secret. Usage: {{tb_secret('secret_name')}}"),
        ("{{f(}}", "invalid syntax at <string>:1"),
        *(
            (f"{{% {name} x %}}", f"{name} is forbidden at <string>:1")
            for name in ["extends", "include", "import", "from", "autoescape", "raw", "module", "apply", "block"]
        ),
    ],
)
def test_what_cannot_be_compiled_is_told_with_its_line(text, expected):
    assert reason(text) == expected
    with pytest.raises(TemplateError, match=r"^Template Syntax Error: "):
        Template("%" + text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{{x == 1}}", "Invalid expression type: Compare(left=Name("),
        ("{{x and 1}}", "Invalid expression type: BoolOp("),
        ("{{x ** 2}}", "Invalid BinOp: Pow()"),
        ("{{1 / 2}}", "Invalid BinOp: Div()"),
        ("{{7 // 2}}", "Invalid BinOp: FloorDiv()"),
        ("{{7 % 2}}", "Invalid BinOp: Mod()"),
        ("{{+1}}", "Invalid UnaryOp: UAdd()"),
        ("{{x.y}}", "Invalid expression type: Attribute("),
        ("{{[a for a in x]}}", "Invalid expression type: ListComp("),
        ("{{lambda: 1}}", "Invalid expression type: Lambda("),
        ("{{(x := 1)}}", "Invalid expression type: NamedExpr("),
        ("{{foo(x)}}", "Invalid function name: foo"),
        ("{{str(x)}}", "Invalid function name: str"),
        ("{{bool(x)}}", "Invalid function name: bool"),
        ("{{x.upper()}}", "Invalid method name: upper"),
        ("{{b'x'}}", "Invalid expression type: Constant("),
        ("{{1j}}", "Invalid expression type: Constant("),
    ],
)
def test_braces_take_a_part_of_the_language(text, expected):
    assert reason(text, x="a").startswith(expected)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{{-1}}{{not x}}{{1 + 2 * 3 - 4}}", "-1False3"),
        ("{{f'<{x}>'}}{{[1, 'a'][1]}}{{(1, 2)}}{{'abc'[0:2]}}", "'<a,b>''a'(1, 2)'ab'"),
        ("{{'y' if defined(x) else 'n'}}", "'y'"),
        ("{{len([1, 2])}}{{min(3, 2)}}{{max([3, 2])}}{{int('4')}}{{float('0.5')}}{{list('ab')}}", "22340.5['a', 'b']"),
        (
            "{{x.split(',')[1]}}{{','.join(['p', 'q'])}}{{x.replace('a', 'c')}}{{{'k': 'v'}.get('k')}}",
            "'b''p,q''c,b''v'",
        ),
    ],
)
def test_and_this_is_what_braces_take(text, expected):
    assert sql(text.replace("{{{", "{{ {"), x="a,b") == expected


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("7 // 2 + 7 % 4 + 2 ** 3 - (1 << 2) | 1", "11"),
        ("[v for v in map(int, x.split(',')) if v > 1]", "[2, 3]"),
        ("{k: v for k, v in zip(['a'], [1])}['a']", "1"),
        ("sorted({3, 1, 2}, reverse=True)", "[3, 2, 1]"),
        ("sorted(['b', 'aa'], key=lambda v: len(v))", "['b', 'aa']"),
        ("(lambda a, b: a + b)(1, 2)", "3"),
        ("list(filter(lambda v: v != '2', x.split(',')))", "['1', '3']"),
        ("[i for i, v in enumerate(x.split(','), 1)]", "[1, 2, 3]"),
        ("x.upper().lower().strip().startswith('1')", "True"),
        ("'%s-%03d' % ('a', 5)", "'a-005'"),
        ("sum([1, 2.5]) + abs(-1) + round(2.4)", "6.5"),
        ("[str(1), float('2'), bool(''), any([0, 1]), all([0, 1])]", "['1', 2.0, False, True, False]"),
        ("[isinstance(x, str), isinstance(x, (int, list))]", "[True, False]"),
        ("list(reversed(list(range(3))))", "[2, 1, 0]"),
        ("dict(a=1).get('b', tuple([1]))", "(1)"),
        ("x or 'd'", "'1,2,3'"),
        ("len(x) > 3 and 'yes'", "'yes'"),
    ],
)
def test_blocks_take_ordinary_expressions(expression, expected):
    assert sql(f"{{% set r = {expression} %}}{{{{r}}}}", x="1,2,3") == expected


def test_functions_of_a_template_see_what_is_around_them():
    text = "{% set n = 1 %}{% set f = lambda a: lambda b: a + b + n %}{% set n = 10 %}{% set g = f(100) %}{% set r = g(1000) %}"

    assert sql(text + "{{r}}") == "1110"
    assert sql("{% set f = lambda n: 1 if n < 2 else n * f(n - 1) %}{% set r = f(5) %}{{r}}") == "120"
    assert sql("{% set v = 'kept' %}{% set r = [v for v in [1]] %}{{v}}") == "'kept'"


WORKED = """%
{% set cols = split_to_array(fields, 'day,hits') %}
SELECT {% for last, c in enumerate_with_last(cols) %}{{symbol(c)}}{% if not last %}, {% end %}{% end %}
FROM daily
WHERE 1
{% if defined(start) %} AND day >= {{Date(start, description='first day')}}{% end %}
{% if defined(ids) %} AND id IN {{Array(ids, 'UInt32')}}{% end %}
ORDER BY {{column(order_by, 'day')}} {% if desc == '1' %}DESC{% end %}
LIMIT {{Int32(page_size, 50)}} OFFSET {{Int32(page, 0) * Int32(page_size, 50)}}
"""


def test_the_worked_example():
    params = {"start": "2031-02-01", "ids": "4,9", "desc": "1", "page": "2"}

    found = compile_template(WORKED).render(params, now=NOW).sql

    assert " ".join(found.split()) == (
        "SELECT `day`, `hits` FROM daily WHERE 1 AND day >= '2031-02-01' AND id IN [4,9] "
        "ORDER BY `day` DESC LIMIT toInt32('50') OFFSET 100"
    )


def test_a_template_is_compiled_once_and_not_for_ever():
    cache = _Cache()
    first = cache.template("% SELECT 1")

    assert cache.template("% SELECT 1") is first
    for number in range(2000):
        cache.template(f"% SELECT {number} -- {'x' * 1000}")
    assert len(cache._kept) <= 1024
    assert cache._chars == sum(map(len, cache._kept)) <= 1024 * 1024
    assert cache.template("% SELECT 1") is not first


def test_a_rendering_leaves_the_request_and_the_next_rendering_alone():
    template = compile_template("%{% set ids.append('c') %}{% set n = 1 %}{{ids}}{{n}}")
    params = {"ids": ["a"]}

    assert template.render(params, now=NOW).sql == template.render(params, now=NOW).sql == "['a', 'c']1"
    assert params == {"ids": ["a"]}


def test_every_function_is_on_its_page():
    page = (Path(__file__).parents[3] / "docs" / "templates.md").read_text()
    named = set(re.findall(r"[A-Za-z_]\w*", page))
    widths = {f"{kind}{width}" for kind in ("Int", "UInt") for width in (16, 32, 64, 128)}
    synonyms = {"Symbol", "Column", "TABLE", "chr", "ord", "divmod"}

    assert set(FUNCTIONS) - named - widths == synonyms
