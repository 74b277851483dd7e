"""Errors of templates: what is wrong with one, what is wrong with its parameters, and what its author wants to say.

    TemplateError       a sentence with the prefix clients know; `{% try %}` catches it
    ├── AuthorError     `error('…')`: the author's words, without the prefix
    └── LimitExceeded   more work, depth or output than a template may take; nothing catches it
    CustomError         `custom_error(body, status)`: the whole answer is the author's

Source: templates.md §8.
"""

from typing import Any, Final

import orjson

from gateway.core.errors import CustomAnswer, InvalidRequest

PREFIX: Final = "Template Syntax Error: "


class TemplateError(InvalidRequest):
    """A template, or what it was given, cannot be made into SQL; `reason` is the sentence without its prefix."""

    documentation = "/cli/advanced-templates.html"

    def __init__(self, reason: str, *, prefix: str = PREFIX) -> None:
        super().__init__(prefix + reason)
        self.reason = reason


class AuthorError(TemplateError):
    """The template called `error('…')`."""

    documentation = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, prefix="")


class LimitExceeded(TemplateError):
    """The template takes more than a template may."""


class CustomError(CustomAnswer):
    """The template called `custom_error(body, status)`."""

    def __init__(self, body: Any, status: int) -> None:
        super().__init__("The endpoint answered with an error of its own", status, orjson.dumps(body))


def required(names: list[str]) -> TemplateError:
    """Return the error for a parameter that is neither given nor has a default.

    Args:
        names: every parameter of the template without a default, in order.
    """
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    noun = "parameters" if len(names) > 1 else "parameter"
    return TemplateError(
        f"Required parameter is not defined. Check the {noun} {listed}. "
        "Please provide a value or set a default value in the pipe code."
    )
