"""Templates in one line: `sql("{{Int32(n)}}", n="1")`."""

from gateway.templates import Rendered, TemplateError, compile_template

NOW = 1_893_456_000.0  # 2030-01-01 00:00:00 UTC


def rendered(text, secrets=None, **params) -> Rendered:
    return compile_template("%" + text).render(params, secrets=secrets, now=NOW)


def sql(text, **params) -> str:
    return rendered(text, **params).sql


def checked(text, **options) -> str:
    return compile_template("%" + text).check(now=NOW, **options).sql


def reason(text, **params) -> str:
    """The sentence with which rendering fails, without its prefix."""
    try:
        found = sql(text, **params)
    except TemplateError as error:
        return error.reason
    raise AssertionError(f"{text} rendered to {found}")
