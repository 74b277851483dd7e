"""Templates: SQL with parameters, as the pipes of Tinybird write it, rendered without evaluating anything as Python.

    lexer ──► blocks ──► syntax, expressions ──► closures over a Run
                              │
              typed, functions, methods, builtins, operators: all there is to call

`compile_template` is the way in. Values reach the SQL through `values.to_sql` alone, secrets not at all.

Source: templates.md.
"""

from gateway.templates.datafile import datafile_secrets, render_datafile_secrets
from gateway.templates.errors import AuthorError, CustomError, LimitExceeded, TemplateError
from gateway.templates.run import Hints
from gateway.templates.template import Rendered, Template, compile_template, parameters_of

__all__ = [
    "AuthorError",
    "CustomError",
    "Hints",
    "LimitExceeded",
    "Rendered",
    "Template",
    "TemplateError",
    "compile_template",
    "datafile_secrets",
    "parameters_of",
    "render_datafile_secrets",
]
