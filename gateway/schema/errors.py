"""Errors of this package: one class, and where in the client's text the trouble is.

Every `SchemaError` is an `InvalidRequest`: the caller wrote something that can be written differently. A syntax error
prints as the wire contract shows it:

    wrong value, please check the schema syntax
    foo^bar Float32
       ^--- found '^' at position 4
"""

from gateway.core.errors import InvalidRequest


class SchemaError(InvalidRequest):
    """A schema, type, engine, index, name or datafile that cannot be accepted.

    Attributes:
        reason: the sentence alone.
        excerpt: the offending line and the caret under it; "" when the sentence says it all.
        line: 1-based line in the text that was parsed; 0 when unknown.
        position: 1-based character in that line; 0 when unknown.
        option: the option the text came from, such as `engine_ttl`; "" when it is not an option.
    """

    def __init__(self, reason: str, *, excerpt: str = "", line: int = 0, position: int = 0, option: str = "") -> None:
        super().__init__(f"{reason}\n{excerpt}" if excerpt else reason)
        self.reason = reason
        self.excerpt = excerpt
        self.line = line
        self.position = position
        self.option = option
