"""Values in SQL, and the functions that make them. Source: templates.md §4, §5."""

import pytest

from gateway.templates import CustomError, Hints
from tests.support.templates import reason, rendered, sql

REQUIRED = "Required parameter is not defined. Check the parameter x. Please provide a value or set a default value in the pipe code."


@pytest.mark.parametrize(
    "char, written",
    [
        ("\0", r"\0"),
        ("\r", r"\r"),
        ("\b", r"\b"),
        ("\t", r"\t"),
        ("\x1a", r"\z"),
        ("\n", r"\n"),
        ('"', r"\""),
        ("'", r"\'"),
        ("\\", r"\\"),
        ("%", r"\%"),
        ("`", r"\`"),
        ("é", "é"),
        ("‘", "‘"),
        ("{{", "{{"),
        ("--", "--"),
    ],
)
def test_text_is_quoted_and_escaped_by_the_table(char, written):
    assert sql("{{x}}|{{String(x)}}|{{Array(x)}}", x=f"a{char}b") == f"'a{written}b'|'a{written}b'|['a{written}b']"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{{3}}{{2.5}}{{True}}", "32.5True"),
        ("{{['1', '2']}}", "['1', '2']"),
        ("{{[1, [2.5, 'a']]}}{{(1, 'b')}}", "[1, [2.5, 'a']](1, 'b')"),
        ("""{{["it's"]}}""", "['it\\'s']"),
        ("{{String(x) + ' d'}}", "'abc d'"),
        ("{{column('a') + ''}}{{[symbol('a')]}}{{f'{symbol(x)}'}}", "'\\`a\\`'['\\`a\\`']'\\`abc\\`'"),
    ],
)
def test_values_are_written_by_their_kind(text, expected):
    assert sql(text, x="abc") == expected


def test_null_an_object_and_a_function_cannot_be_written():
    assert reason("{{None if defined(x) else None}}", x="a") == 'expression "None if defined(x) e..." evaluated to null'
    assert reason("{{[None]}}") == 'expression "[None]..." evaluated to null'
    assert reason("{{ {'a': 1} }}").endswith("is an object, which cannot be put into a query")
    assert reason("{% set f = lambda: 1 %}{{f}}").endswith("is a function, which cannot be put into a query")


@pytest.mark.parametrize(
    "call, value, expected",
    [
        ("String(x)", "", "''"),
        ("String(x)", " a ", "' a '"),
        ("Boolean(x)", "0", "0"),
        ("Boolean(x)", "FALSE", "0"),
        ("Boolean(x)", "", "0"),
        ("Boolean(x)", "no", "1"),
        ("Boolean(x)", "true", "1"),
        ("Int8(x)", "-128", "toInt8('-128')"),
        ("Int32(x)", "+5", "toInt32('5')"),
        ("Int32(x)", "007", "toInt32('7')"),
        ("Int256(x)", str(-(2**255)), f"toInt256('{-(2**255)}')"),
        ("UInt8(x)", "255", "toUInt8('255')"),
        ("UInt128(x)", "+1", "toUInt128('1')"),
        ("UInt256(x)", str(2**256 - 1), f"toUInt256('{2**256 - 1}')"),
        ("Int(x)", "5", "5"),
        ("Integer(x)", "-5", "-5"),
        ("Float32(x)", "2.5", "toFloat32('2.5')"),
        ("Float64(x)", "1e5", "toFloat64('100000.0')"),
        ("Float64(x)", "nan", "toFloat64('nan')"),
        ("Date(x)", "2024-13-45", "'2024-13-45'"),
        ("DateTime(x)", "2024-01-01 10:00:00", "'2024-01-01 10:00:00'"),
        ("DateTime(x)", "2030-01-01T10:00:00+00:00", "'2030-01-01T10:00:00+00:00'"),
        ("DateTime(x)", "2030-01-01T10:00:00Z", "'2030-01-01T10:00:00Z'"),
        ("DateTime(x)", "01/02/2030 10:00:00.123", "'01/02/2030 10:00:00.123'"),
        ("DateTime(x)", "2030-01-01 10:00:00' OR 1", "'2030-01-01 10:00:00\\' OR 1'"),
        ("DateTime64(x)", "2030-01-01 10:00:00.123", "'2030-01-01 10:00:00.123'"),
        ("Symbol(x)", "a`b", "`a\\`b`"),
        ("Column(x)", "ab", "`ab`"),
        ("JSON(x)['k'][0]", '{"k": ["v"]}', "'v'"),
        ("JSON(x).get('n', 'd')", "{}", "'d'"),
    ],
)
def test_a_typed_parameter_is_checked_and_written_with_its_type(call, value, expected):
    assert sql(f"{{{{{call}}}}}", x=value) == expected


@pytest.mark.parametrize(
    "kind, value",
    [
        *((kind, "") for kind in ("Int8", "UInt64", "Float64", "Date", "DateTime", "DateTime64")),
        *(
            ("Int32", value)
            for value in ("5a", " 5", "5 ", "5\n", "1.0", "1e3", "--1", "2147483648", "٣", "0x1", "1" * 200)
        ),
        *(("UInt8", value) for value in ("256", "-1", "+1")),
        ("UInt128", "-1"),
        *(("Float64", value) for value in ("1_0", " 1", "a", "1\n", "٣")),
        *(("Date", value) for value in ("2024-1-1", "2024-01-01 10:00:00", "2024-01-01\n", "20240101")),
        *(("DateTime", value) for value in ("2024-01-01", "2024-01-01 10:00", "x2024-01-01 10:00:00")),
        ("DateTime64", "2024-01-01 10:00:00"),
    ],
)
def test_what_is_not_of_its_type_is_refused(kind, value):
    assert reason(f"{{{{{kind}(x)}}}}", x=value) == f"Error validating '{value}' to type {kind}"
    assert reason(f"{{{{{kind}(y, {value!r})}}}}") == f"Error validating '{value}' to type {kind}"


@pytest.mark.parametrize(
    "call, expected",
    [
        ("String(x, 'd')", "'d'"),
        ("String(x, default='d', required=True, enum=['a'], example='e', format='f', description='…')", "'d'"),
        ("Int32(x, 10, 'a description')", "toInt32('10')"),
        ("Int32(x, '10')", "toInt32('10')"),
        ("Int32(x, 10, unknown=1)", "toInt32('10')"),
        ("Boolean(x)", "0"),
        ("Boolean(x, 1)", "1"),
        ("Array(x, 'Int32', default='1,2')", "[1,2]"),
        ("Array(x, 'Int32', [1, 2])", "[1,2]"),
        ("JSON(x, '[1]')[0]", "1"),
        ("JSON(x).get('a', 2)", "2"),
        ("Column(x, 'a')", "`a`"),
        ("sql_and(a=String(x, defined=False), b=1)", "b = 1"),
        ("sum", REQUIRED.replace("parameter x", "parameter sum")),
        ("Int32(sum, 4)", "toInt32('4')"),
    ],
)
def test_a_default_stands_for_what_was_not_sent(call, expected):
    found = reason(f"{{{{{call}}}}}") if expected.startswith("Required") else sql(f"{{{{{call}}}}}")

    assert found == expected


@pytest.mark.parametrize(
    "call", ["String(x)", "Int32(x, None)", "Date(x, default=None)", "Array(x, 'Int8')", "x", "symbol(x)", "len(x)"]
)
def test_without_value_and_default_the_parameters_are_named(call):
    assert reason(f"{{{{{call}}}}}") == REQUIRED


def test_every_parameter_without_default_is_named():
    text = "{{Int32(a)}}{{String(b)}}{{Int8(d, 1)}}{{column(e, 'f')}}{{Date(c)}}"

    assert "the parameters a, b and c." in reason(text, a="1", c="2030-01-01")


@pytest.mark.parametrize(
    "name", ["id", "type", "filter", "min", "limit", "order", "length", "property", "dir", "object", "sum", "str"]
)
def test_a_parameter_may_be_called_like_a_builtin(name):
    assert sql(f"{{{{String({name}, 'd')}}}}") == "'d'"
    assert sql(f"{{% if {name} == 'v' %}}{{{{String({name})}}}}{{% end %}}", **{name: "v"}) == "'v'"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{{Int32(a, 1) + Int32(b, 2)}}", "3"),
        ("OFFSET {{Int32(page, 2) * Int32(size, 100)}}", "OFFSET 200"),
        ("{% if Int32(x, 5) > 3 %}y{% end %}", "y"),
        ("{{min(Int32(a, 4), 9)}}{{-Int32(a, 4)}}", "toInt32('4')-4"),
        ("{% if flag == '0' %}raw{% end %}", "raw"),
    ],
)
def test_typed_numbers_keep_pythons_arithmetic_and_raw_parameters_are_text(text, expected):
    assert sql(text, flag="0") == expected


@pytest.mark.parametrize("text", ["{% if x > 3 %}{% end %}", "{% if 3 <= x %}{% end %}"])
@pytest.mark.parametrize("params", [{}, {"x": "5"}])
def test_a_raw_parameter_does_not_compare_with_a_number(text, params):
    assert reason(text, **params).endswith("wrap it around a valid Data Type (e.g. Int8(placeholder))")


@pytest.mark.parametrize(
    "call, value, expected",
    [
        ("Array(x)", "a, b", "['a',' b']"),
        ("Array(x, 'Int32')", "1,2,3", "[1,2,3]"),
        ("Array(x, 'Float64')", "1,2.5", "[1.0,2.5]"),
        ("Array(x, 'Date')", "2030-01-01", "['2030-01-01']"),
        ("Array(x, \"'undefined','free'\")", "a,b", "['a','b']"),
        ("Array(x)", "", "['']"),
        ("Array(x)", "[1,2]", "['[1','2]']"),
        ("Array(x)", ["a,b", "c'"], "['a,b','c\\'']"),
        ("Array(x, 'UInt8')", [1, "2"], "[1,2]"),
        ("Array(x, 'UInt8')", [], "[]"),
    ],
)
def test_an_array_is_a_text_with_commas_or_a_list(call, value, expected):
    assert sql(f"{{{{{call}}}}}", x=value) == expected


@pytest.mark.parametrize(
    "value, expected",
    [
        ("1,z", "Error validating [1,z][1] (z) to type Int32"),
        ("", "Error validating [][0] (empty string) to type Int32"),
        (["1", "2 "], "Error validating [1,2 ][1] (2 ) to type Int32"),
    ],
)
def test_a_bad_element_is_named_with_its_place(value, expected):
    assert reason("{{Array(x, 'Int32')}}", x=value) == expected


def test_an_array_parameter_is_a_list_everywhere_in_the_template():
    text = "{% for v in ids %}{{v}};{% end %}{{len(ids)}} {{ids[0]}} {{ids}} {% if defined(ids) %}{{Array(ids, 'Int32')}}{% end %}"

    assert sql(text, ids="1,2") == "1;2;2 1 [1, 2] [1,2]"
    assert reason("{% if ids == 'a' %}{% end %}{{Array(ids, 'Int32')}}", ids="a") == (
        "Error validating [a][0] (a) to type Int32"
    )


@pytest.mark.parametrize(
    "call, value, expected",
    [
        ("column(x, 'd')", "a.b", "`a`.`b`"),
        ("column(x, 'd')", None, "`d`"),
        ("column(x, default='d')", None, "`d`"),
        ("column('n')", None, "`n`"),
        ("column(x)", "a`b\\", "`a\\`b\\\\`"),
        ("columns(x, 'a,b')", None, "`a`,`b`"),
        ("columns(x, 'a,b', 'sum')", "c, d", "sum(`c`) as c,sum(`d`) as d"),
        ("columns(x, 'a', 'sum')", "c) x", "sum(`c) x`) as `c) x`"),
        ("columns(x, 'a')", "*", "`*`"),
        ("symbol(x)", 'a"b`c', "`ab\\`c`"),
        ("table(x)", "db.t", "db.t"),
        ("TABLE(x)", "t", "t"),
    ],
)
def test_names_are_quoted(call, value, expected):
    assert sql(f"{{{{{call}}}}}", **({} if value is None else {"x": value})) == expected


@pytest.mark.parametrize(
    "call, value, expected",
    [
        ("column(x)", None, "Missing column() default value, use `column(column_name, 'default_column_name')`"),
        ("columns(x, 'a')", ["a"], "The 'columns' function expects a String not an Array"),
        ("columns('a', 'a', x)", "f(", "'f(' is not the name of a function"),
        ("table(x)", "a b", "'a b' is not the name of a table"),
        ("table(x)", "a`b", "'a`b' is not the name of a table"),
        ("table(x)", "t\n", "'t\n' is not the name of a table"),
        ("table(x)", None, REQUIRED),
        ("symbol(x)", "a\0b", "'a\\x00b' cannot be a name: it has control characters"),
    ],
)
def test_what_is_no_name_is_refused(call, value, expected):
    assert reason(f"{{{{{call}}}}}", **({} if value is None else {"x": value})) == expected


@pytest.mark.parametrize(
    "text, params, expected",
    [
        ("{{defined(x)}}", {}, "False"),
        ("{{defined(x)}}", {"x": ""}, "True"),
        ("{{defined('x')}}", {}, "True"),
        ("{{split_to_array(x)}}", {"x": " a , b"}, "['a', 'b']"),
        ("{{split_to_array(x)}}", {"x": ""}, "['']"),
        ("{{split_to_array(x)}}", {}, "['']"),
        ("{{split_to_array(x, 'c,d')}}", {}, "['c', 'd']"),
        ("{{split_to_array(x, separator='|')}}", {"x": "a|b"}, "['a', 'b']"),
        ("{{enumerate_with_last([1, 2])}}", {}, "[(False, 1), (True, 2)]"),
        ("{{sql_and(a=Int32(x), b__in=Array(y, 'Int32', defined=False))}}", {"x": "1"}, "a = toInt32('1')"),
        (
            "{{sql_and(a__in=[1, 'b'], b__not_in=Array(y), c__gt=1, d__lt=2, e__gte=3, f__lte=String(z))}}",
            {"y": "'", "z": "'"},
            "a in [1, 'b'] and b not in ['\\''] and c > 1 and d < 2 and e >= 3 and f <= '\\''",
        ),
        ("{{sql_and(a=Int32(x, defined=False))}}", {}, ""),
        ("{{sql_unescape(String(x), '%')}}", {"x": "%a'%"}, "'%a\\'%'"),
        ("{{sql_unescape(x, '\\\\n\\'%')}}", {"x": "\\n%'"}, "'\\\\n%\\''"),
        ("{{sql_unescape(x)}}", {"x": "%"}, "'\\%'"),
        ("{{day_diff('2030-01-05', Date(x))}}", {"x": "2030-01-01"}, "4"),
        ("{{date_diff_in_days('2030-01-01', '2030-01-03')}}", {}, "2"),
        ("{{date_diff_in_hours('2030-01-01 00:00:00', '2030-01-01 03:59:59')}}", {}, "3"),
        ("{{date_diff_in_minutes('2030-01-01 00:10:00', '2030-01-01 00:00:01')}}", {}, "9"),
        ("{{date_diff_in_seconds('2030-01-01 00:00:00', '2030-01-01 00:01:00')}}", {}, "60"),
        (
            "{{date_diff_in_hours(x, x, date_format='%Y', backup_date_format='%Y-%m-%dT%H:%M:%SZ')}}",
            {"x": "2030-01-01T00:00:00Z"},
            "0",
        ),
        ("{{'n' if date_diff_in_days('a', 'b', none_if_error=True) else 'e'}}", {}, "'e'"),
        ("{% if error %}{% end %}a", {}, "a"),
    ],
)
def test_helpers(text, params, expected):
    assert sql(text, **params) == expected


@pytest.mark.parametrize(
    "text, params, expected",
    [
        ("{{sql_and(a__foo=1)}}", {}, "operand foo not supported"),
        (
            "{{date_diff_in_days('x', '2030-01-01')}}",
            {},
            "invalid date format in function `date_diff_in_days`, it must be ISO format date YYYY-MM-DD, e.g. 2018-09-26",
        ),
        ("{{cache_ttl('2m')}}", {}, "Invalid TTL cache expression, the valid ones are 5s, 1m, 5m, 30m, 1h"),
        ("{{activate('x')}}", {}, "'x' is not a valid 'activate' argument"),
        ("{{disable('parallel_replicas')}}", {}, "'parallel_replicas' is not a valid 'disable' argument"),
        ("{{backend_hint(x)}}", {"x": "a\nb"}, "'a\nb' is not a valid 'backend_hint' argument"),
        ("{{String()}}", {}, "one of the transform type functions is missing an argument"),
        ("{{day_diff('2030-01-01')}}", {}, "day_diff(): missing a required argument: 'second'"),
        (
            "{{JSON(x)}}",
            {"x": "{bad"},
            "Error parsing JSON: '{bad' - Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            "{{JSON(x)['k']}}",
            {"x": "{}"},
            "Missing key 'k' while rendering the template. Check that the object has it, or use .get()",
        ),
        ("{{x[5]}}", {"x": "abc"}, "String index out of range. Check its length with len() before taking an item"),
        (
            "{{x.get('k')}}",
            {"x": "abc"},
            "'str' object has no attribute 'get'. Make sure you're using an object/dictionary where trying to use .get()",
        ),
        (
            "{% if foo(1) %}{% end %}",
            {},
            "wrong syntax, you might be using a not valid function inside a control block: foo",
        ),
        ("{{1 + 'a'}}", {}, "unsupported operand type(s) for +: 'int' and 'str'"),
    ],
)
def test_a_function_that_fails_says_why(text, params, expected):
    assert reason(text, **params) == expected


def test_an_error_of_the_author_is_told_in_his_words():
    from gateway.web.errors import refusal_body, status_of

    with pytest.raises(CustomError) as caught:
        sql("{{custom_error({'error_id': 10, 'error': x}, 403)}}", x="no")

    assert (status_of(caught.value), refusal_body(caught.value)) == (403, b'{"error_id":10,"error":"no"}')
    with pytest.raises(CustomError) as caught:
        sql("{{custom_error({'error': 'no'})}}")
    assert status_of(caught.value) == 400
    assert reason("{{custom_error({'a': 1}, 200)}}") == "custom_error() takes a status between 400 and 599"
    assert reason("{{error('bad ' + x)}}", x="x") == "bad x"


def test_other_errors_have_a_prefix_and_a_link():
    import orjson

    from gateway.templates import TemplateError
    from gateway.web.errors import refusal_body, status_of

    with pytest.raises(TemplateError) as caught:
        sql("{{Int32(x)}}", x="a")

    assert status_of(caught.value) == 400
    assert orjson.loads(refusal_body(caught.value)) == {
        "error": "Template Syntax Error: Error validating 'a' to type Int32",
        "documentation": "/cli/advanced-templates.html",
    }
    with pytest.raises(TemplateError) as caught:
        sql("{{error('bad x')}}")
    assert refusal_body(caught.value) == b'{"error":"bad x"}'


def test_hints_are_comments_and_settings():
    found = rendered(
        "{{max_threads(4)}}{{cache_ttl('5m')}}{{backend_hint('ch-1')}}{{activate('analyzer')}}"
        "{{activate('parallel_replicas')}}{{disable('analyzer')}}SELECT 1"
    )

    assert found.sql == (
        "-- max_threads 4\n-- cache_ttl 5m\n-- backend_hint ch-1\n-- activate analyzer\n-- activate parallel_replicas\n"
        "-- disable analyzer\nSELECT 1"
    )
    assert found.hints == Hints(4, 300, "ch-1", ("analyzer", "parallel_replicas"), ("analyzer",))
    assert rendered("{{max_threads('4')}}").sql == "-- max_threads: wrong argument\n"
    assert rendered("{{max_threads('4')}}").hints == Hints()


def test_a_secret_is_sent_beside_the_query():
    found = rendered("{{tb_secret('pg')}} {{tb_var('pg')}} {{tb_secret('n', 'd\\'')}}", secrets={"pg": "s3cret"})

    assert found.sql == "{pg: String} {pg: String} 'd\\''"
    assert found.secrets == {"pg": "s3cret"}
    assert "s3cret" not in repr(found)
    assert rendered("{% if tb_secret('pg') == 's3cret' %}leak{% end %}", secrets={"pg": "s3cret"}).sql == ""
    assert reason("{{tb_secret('pg')}}") == (
        "Cannot access secret 'pg'. Check the secret exists in the Workspace and the token has the required scope."
    )


@pytest.mark.parametrize(
    "text", ["{{tb_secret(x)}}", "{{tb_secret('a b')}}", "{{tb_secret('a' + 'b')}}", "{{tb_secret(1)}}"]
)
def test_which_secret_is_written_in_the_template_not_sent(text):
    assert reason(text, x="pg").startswith("tb_secret() takes the name of a secret in quotes")


@pytest.mark.parametrize(
    "value, expected",
    [(5, "'5'"), (2.5, "'2.5'"), (True, "'true'"), (["a", 1], "['a', 1]"), ({"k": "v"}, "'v'")],
)
def test_a_json_body_may_hold_other_things_than_text(value, expected):
    assert sql("{{x.get('k')}}" if isinstance(value, dict) else "{{x}}", x=value) == expected
    assert reason("{{x}}", x=None) == REQUIRED


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/* AND a = {{x}} */ 1", "/* AND a = '* / OR 1=1 / *\\n--' */ 1"),
        ("/* it's /* a */ {{x}} */ 1", "/* it's /* a */ '* / OR 1=1 / *\\n--' */ 1"),
        ("-- it's {{x}}\n{{x}}", "-- it's '*/ OR 1=1 /*\\n--'\n'*/ OR 1=1 /*\\n--'"),
        ("# it's {{max_threads(2)}}\n{{Int(n)}}", "# it's -- max_threads 2 \n-1"),
        ("5 -{{Int(n)}} - {{Int(n)}}", "5 - -1 - -1"),
        ("5 -{% if 1 %}{% end %}{{sql_and()}}{{Int(n)}}", "5 - -1"),
        ("'{{Int(n)}}' '{{table(t)}}' 'it\\'s {{[1]}}'", "'-1' 'tab' 'it\\'s [1]'"),
        ('AS "{{String(t)}}" AS `{{t}}`', "AS \"'tab'\" AS `'tab'`"),
        ("'a''b' {{t}} 'c' {{t}}", "'a''b' 'tab' 'c' 'tab'"),
        ("$$it's$$ {{t}} $a$ $b$ $a$ {{t}}", "$$it's$$ 'tab' $a$ $b$ $a$ 'tab'"),
    ],
)
def test_a_value_is_harmless_wherever_it_stands(text, expected):
    assert sql(text, x="*/ OR 1=1 /*\n--", n="-1", t="tab") == expected


@pytest.mark.parametrize(
    "text",
    [
        "'{{String(x)}}'",
        "LIKE '%{{x}}%'",
        "'a''{{x}}'",
        "'{{symbol(x)}}'",
        "'{{[x]}}'",
        "$${{x}}$$",
        "`{{symbol(x)}}`",
        '"{{column(q)}}"',
        "'{% if 1 %}{{x}}{% end %}'",
    ],
)
def test_quotes_around_a_value_that_brings_its_own_are_refused(text):
    """They would turn its content into SQL: `'{{x}}'` with ` OR 1=1 --` is `'' OR 1=1 --''`."""
    assert reason(text, x=" OR 1=1 --", q='a"b').endswith("writes its own quotes: remove those around it")
