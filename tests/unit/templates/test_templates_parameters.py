"""What a template says about its parameters, and how it is checked without them. Source: templates.md §6, §8, §9."""

import pytest

from gateway.templates import (
    TemplateError,
    compile_template,
    datafile_secrets,
    parameters_of,
    render_datafile_secrets,
)
from tests.support.templates import NOW, checked, sql


def parameters(text):
    return compile_template("%" + text).parameters()


def plain(name, **more):
    return {"name": name, "type": "String", "default": None, "used_in": "function_call", **more}


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            " SELECT * FROM t WHERE k = {{String(k,'a',description='key',required=True,enum=['a','b'])}} LIMIT {{Int32(n,10)}}",
            [
                {
                    "name": "k",
                    "type": "String",
                    "description": "key",
                    "required": True,
                    "enum": ["a", "b"],
                    "default": "a",
                },
                {"name": "n", "type": "Int32", "default": 10},
            ],
        ),
        ("{{Array(a, 'Int32', '1,2')}}", [{"name": "a", "type": "Array(Int32)", "default": "1,2"}]),
        ("{{Array(a)}}", [{"name": "a", "type": "Array(String)", "default": None}]),
        ("{{Array(a, type='Date', default=[1])}}", [{"name": "a", "type": "Array(Date)", "default": [1]}]),
        (
            "{{Date(d, '2030-01-01', example='2030-02-01', format='YYYY-MM-DD')}}",
            [{"name": "d", "type": "Date", "example": "2030-02-01", "format": "YYYY-MM-DD", "default": "2030-01-01"}],
        ),
        ("{{Int64(a, 9007199254740991)}}", [{"name": "a", "type": "Int64", "default": 9007199254740991}]),
        ("{{Int64(a, 9007199254740993)}}", [{"name": "a", "type": "Int64", "default": "9007199254740993"}]),
        ("{{Int64(a, 1 + 1)}}", [{"name": "a", "type": "Int64", "default": None}]),
        ("{{JSON(a, '{}')}}", [{"name": "a", "type": "JSON", "default": "{}"}]),
        ("{{String('x', 'a')}}", []),
        ("{{x}}{% if y == '1' %}{% end %}", [plain("x"), plain("y")]),
        (
            "{{defined(a)}}{{column(b, 'c')}}{{day_diff(c, '2030-01-01')}}{{split_to_array(d)}}{{columns(e, 'f')}}",
            [plain(name) for name in "abcde"],
        ),
        ("{% set x = 1 %}{{x}}", []),
        ("{% for a, b in [] %}{{a}}{{b}}{% end %}", []),
        ("{% set r = [v for v in x if v] %}{% set f = lambda a: a + y %}", [plain("x"), plain("y")]),
        (
            "{% if not defined(x) %}{% set x = 'a' %}{% end %}{{String(x, 'b')}}",
            [{"name": "x", "type": "String", "default": "b"}],
        ),
        ("{% set x = String(x, 'a') %}{{x}}", [{"name": "x", "type": "String", "default": "a"}]),
        ("{% set n = list(map(int, x)) %}{% set s = isinstance(x, str) %}{% set m = max(n, key=len) %}", [plain("x")]),
        ("{% try %}{% except Exception as e %}{{e}}{% end %}", []),
        ("{{tb_secret('s', 'd')}}", []),
        ("{# {{String(a)}} #}", []),
        ("{{Int32(f(x), 1)}}".replace("f(x)", "y"), [{"name": "y", "type": "Int32", "default": 1}]),
    ],
)
def test_parameters_are_found_with_what_their_author_says(text, expected):
    assert parameters(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{{defined(x)}}{{Int32(x, 1)}}", {"name": "x", "type": "Int32", "default": 1}),
        ("{{Int32(x)}}{{x}}", {"name": "x", "type": "Int32", "default": None}),
        (
            "{{Int32(x)}}{{Int64(x, 2, description='d')}}",
            {"name": "x", "type": "Int64", "description": "d", "default": 2},
        ),
        (
            "{{String(x, 'a')}}{{String(x, description='d')}}",
            {"name": "x", "type": "String", "description": "d", "default": "a"},
        ),
    ],
)
def test_uses_of_one_name_are_one_parameter(text, expected):
    assert parameters(text) == [expected]


def test_the_nodes_of_a_pipe_are_described_together():
    nodes = [
        compile_template("% {{x}} {{Int32(y)}}"),
        compile_template("SELECT {{z}}"),
        compile_template("% {{Date(x, '2030-01-01')}}"),
    ]

    assert parameters_of(nodes) == [
        {"name": "x", "type": "Date", "default": "2030-01-01"},
        {"name": "y", "type": "Int32", "default": None},
    ]


def test_what_is_marked_required_can_be_listed_and_is_not_enforced_here():
    template = compile_template(
        "% {{String(a, 'd', required=True)}}{{Int32(b, 1, required=False)}}{{Int8(c, required=True)}}"
    )

    assert template.missing_required({}) == ["a", "c"]
    assert template.missing_required({"a": "", "c": "1"}) == []
    assert template.render({"c": "1"}, now=NOW).sql == " 'd'toInt32('1')toInt8('1')"


def test_job_timestamp_is_the_moment_unless_it_is_sent():
    assert sql("{{DateTime(job_timestamp)}}") == "'2030-01-01 00:00:00'"
    assert sql("{{job_timestamp}}", job_timestamp="x") == "'x'"


def test_a_set_covers_what_was_sent_and_what_is_unknown_is_ignored():
    assert sql("{% set x = 'mine' %}{{x}}", x="theirs", unknown="y") == "'mine'"


def test_secrets_and_reserved_names_are_known():
    template = compile_template("% {{tb_secret('a')}}{{tb_var('b')}}{{tb_secret('a')}}\n{{String(token, '')}}")

    assert template.secrets == ("a", "b")
    assert template.warnings == ('"token" is a reserved name: the server reads it, line 2',)


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "SELECT {{Int32(a)}}, {{Float64(b)}}, {{String(c)}}, {{String(d, 'x')}}",
            "SELECT toInt32('0'), toFloat64('0.0'), '__no_value__', 'x'",
        ),
        ("{{Date(a)}} {{DateTime(b)}} {{Boolean(c)}}", "'2019-01-01' '2019-01-01 00:00:00' 0"),
        ("{{DateTime64(a)}}", "'2019-01-01 00:00:00.000'"),
        ("{{Array(a)}} {{Array(b, 'Int8')}} {{Array(c, 'Int8', '1,2')}}", "['__no_value__'] [0] [1,2]"),
        ("{{symbol(a)}} {{Symbol(b)}} {{column(c, 'd')}} {{table(e)}}", "`placeholder` `placeholder` `d` placeholder"),
        ("{{x}} {{JSON(y).get('k', 1)}} {{x + 1}}", "'__no_value__' 1 '__no_value__'"),
        ("1{{error('no')}}{{custom_error({'a': 1}, 404)}}", "1"),
        ("1{% if defined(x) %}2{% end %}", "1"),
        ("{% for v in ids %}{{v}}{% end %}{{len(ids)}}{{Array(ids, 'Int32', [7])}}", "'__no_value__'1[7]"),
        (
            "{% for k, v in x %}{{k}}{% end %}{{x.split(',')[0]}}{{x['a']}}",
            "'__no_value__''__no_value__''__no_value__'",
        ),
        ("1{% if x == 'a' or x > 'b' or 'c' in x %}2{% end %}", "1"),
        ("{{day_diff(a, b)}}{{date_diff_in_days(a, b)}}", "00"),
        ("{{sql_and(a=Int32(x), b=y)}}", "a = toInt32('0')"),
        ("{{tb_secret('pg')}}", "{pg: String}"),
        ("{% set n = int(x) + len(x) %}{{n}}", "1"),
        ("{{String(a, required=True)}}", "'__no_value__'"),
    ],
)
def test_a_check_puts_placeholders_for_what_nobody_sent(text, expected):
    assert checked(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("\n{{String(format)}}", '"format" can not be used as a variable name, line 2'),
        ("{{Int32(q, 1)}}", '"q" can not be used as a variable name, line 1'),
        ("{{String('1682892000.0')}}", '"1682892000.0" can not be used as a variable name, line 1'),
        ("{{Int32(1682892000.0)}}", '"1682892000.0" can not be used as a variable name, line 1'),
        ("{% if defined(x) %}SELECT 1{% end %} ", "Template renders to an empty query without parameters"),
        ("{{Int32(x, 'a')}}", "Error validating 'a' to type Int32"),
        (
            "{% if x > 3 %}{% end %}",
            "'>' not supported between instances of 'placeholder' and 'int'. If you are using a placeholder in a comparison, wrap it around a valid Data Type (e.g. Int8(placeholder))",
        ),
    ],
)
def test_a_check_finds_what_would_always_fail(text, expected):
    with pytest.raises(TemplateError) as caught:
        checked(text)
    assert caught.value.reason == expected


def test_a_check_with_secrets_misses_one_and_tells_of_a_forgotten_percent_sign():
    assert checked("{{tb_secret('a')}}", secrets={"a": "1"}) == "{a: String}"
    with pytest.raises(TemplateError, match="Cannot access secret 'b'"):
        checked("{{tb_secret('b')}}", secrets={"a": "1"})
    with pytest.raises(TemplateError, match="should start with a % character"):
        compile_template("SELECT {{x}}").check(now=NOW)


@pytest.mark.parametrize(
    "text, expected",
    [
        ('KAFKA_SECRET {{ tb_secret("a") }}', "KAFKA_SECRET it's {{ }}"),
        ("KAFKA_KEY {{tb_secret('a')}}/{{ tb_secret('b', 'd') }}", "KAFKA_KEY it's {{ }}/d"),
        ('KAFKA_KEY {{ tb_secret("b", "") }}', 'KAFKA_KEY ""'),
        ('KAFKA_KEY {{ tb_secret("empty", "d") }}', 'KAFKA_KEY ""'),
        ("no secret", "no secret"),
    ],
)
def test_secrets_are_put_into_datafiles(text, expected):
    assert render_datafile_secrets(text, {"a": "it's {{ }}", "empty": ""}) == expected


@pytest.mark.parametrize(
    "text, options, expected",
    [
        (
            '{{ tb_secret("b") }}',
            {},
            "Cannot access secret 'b'. Check the secret exists in the Workspace and the token has the required scope.",
        ),
        ("\n{{ x }}", {}, "Only tb_secret can be used here, line 2: {{ x }}"),
        ('{{ tb_secret("a") + "b" }}', {}, 'Only tb_secret can be used here, line 1: {{ tb_secret("a") + "b" }}'),
        ('COPY_SCHEDULE {{ tb_secret("a") }}', {}, "tb_secret cannot be used in a schedule, line 1"),
        (
            'X {{ tb_secret("b", "") }}',
            {"is_sink": True},
            "Secret 'b' resolves to an empty value and cannot be used in sink metadata.",
        ),
    ],
)
def test_what_a_datafile_may_not_hold_is_refused(text, options, expected):
    with pytest.raises(TemplateError) as caught:
        render_datafile_secrets(text, {"a": "1"}, **options)
    assert str(caught.value) == expected


def test_the_secrets_of_a_datafile_are_known_before():
    assert datafile_secrets("{{ tb_secret('a') }} {{tb_secret(\"b\", 'c')}}") == [("a", False), ("b", True)]
