"""Codecs: how the bytes of a column are compressed, `CODEC(Delta(4), ZSTD(1))`.

The names and the shape of their arguments are checked here; whether a codec suits its column is the engine's to say.
Encryption codecs are missing on purpose: they need keys in the server's configuration.
"""

from typing import Final

from gateway.schema.lexer import Scanner, words

_CODECS: Final = {
    name.lower(): name for name in words("NONE Default LZ4 LZ4HC ZSTD Delta DoubleDelta Gorilla FPC T64 GCD ALP")
}
_CODECS_MAX: Final = 8


def read_codec(scanner: Scanner) -> str:
    """Read `(codec[(arguments)], …)`, the word CODEC behind us, and return it as `CODEC(…)`.

    Raises:
        SchemaError: it is no list of codecs, or one of them is not known.
    """
    scanner.expect("(")
    codecs = [_codec(scanner)]
    while scanner.accept(","):
        codecs.append(_codec(scanner))
    if len(codecs) > _CODECS_MAX:
        raise scanner.fail(f"More than {_CODECS_MAX} codecs")
    scanner.expect(")")
    return f"CODEC({', '.join(codecs)})"


def _codec(scanner: Scanner) -> str:
    token = scanner.token
    name = _CODECS.get(token.lower)
    if token.kind != "word" or name is None:
        raise scanner.fail(
            f"Codec '{token.text[:64]}' is not supported, use one of {', '.join(sorted(_CODECS.values()))}"
        )
    scanner.advance()
    if not scanner.accept("("):
        return name
    arguments = [scanner.expect_kind("number", "string").text]
    while scanner.accept(","):
        arguments.append(scanner.expect_kind("number", "string").text)
    scanner.expect(")")
    return f"{name}({', '.join(arguments)})"
