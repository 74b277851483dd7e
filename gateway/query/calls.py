"""Calls: what a query may call, in all the ways the engine has of calling.

`f(x)` is only one. Seen on 26.9, and refused here:

    arrayMap(file, paths)                        a function given by its name
    * APPLY(file)                                so too
    currentRequestURL                            a bare word, where no column has that name
    arrayReduce('groupConcat(file(…))', xs)      a string the engine reads as code
    values('a String ALIAS file(…)', 1)          so too
    WITH (a, b) -> 1 AS equals …                 a lambda in place of a function: every `=`, row filters too
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.query import functions
from gateway.query.nodes import Positive
from gateway.query.parse import aggregate_name, canonical_structure

_TABLE_FUNCTIONS: Final = frozenset(
    "numbers numbers_mt zeros zeros_mt generate_series generateSeries generateRandom null values".split()  # noqa: SIM905
)
# What makes the engine call another function: `f(DISTINCT x)` is `fDistinct`, `f(x) FILTER (…)` is `fIf`.
_RENAMING: Final = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls)

# Those whose first argument may be a string with names and types of columns.
_WITH_STRUCTURE: Final = frozenset(["values", "generateRandom", "null"])

# Functions of templates, which have no meaning outside the brackets of one.
_OF_TEMPLATES: Final = frozenset(["tb_secret", "tb_var"])

_COPY_TABLE_FUNCTIONS: Final = frozenset(
    ["postgresql", "mysql", "mongodb", "url", "azureBlobStorage", "gcs", "iceberg", "s3", "deltaLake"]
)


class Calls:
    """Checks the calls of one query, and knows the lambdas it has named."""

    def __init__(self) -> None:
        self._lambdas: set[str] = set()

    def note_lambdas(self, nodes: Iterable[exp.Expr]) -> None:
        """Note the lambdas named among `nodes`.

        Raises:
            InvalidRequest: one has the name of a function, or is given a second name.
        """
        for node in nodes:
            if not isinstance(node, (exp.Alias, exp.CTE)):
                continue
            value = unwrapped(node.this)
            if isinstance(value, exp.Column) and value.name in self._lambdas and not value.table:
                raise InvalidRequest(f"[Error] The function {value.name} cannot be given a second name")
            if isinstance(value, exp.Lambda):
                if functions.is_taken(node.alias):
                    raise InvalidRequest(f"[Error] The name {node.alias} is that of a function of ClickHouse")
                self._lambdas.add(node.alias)

    def check(self, node: exp.Expr, aliases: AbstractSet[str]) -> None:
        """Raise unless the call `node` may be made where `aliases` are known."""
        name, arguments = node.name, node.expressions
        if node.arg_key == "expression" and isinstance(node.parent, exp.Dot) and name.upper() != "COLUMNS":
            raise InvalidRequest(f"[Error] The function {name} is not one of a table or a database")
        self.check_name(name, aliases)
        if not functions.is_allowed(name):
            node.set("this", exp.Identifier(this=name, quoted=True))
            return
        if isinstance(node, exp.ParameterizedAgg) and not functions.is_aggregate(name):
            raise InvalidRequest(f"[Error] The function {name} has no parameters")
        if not functions.is_aggregate(name) and (isinstance(node.parent, _RENAMING) or _is_distinct(arguments)):
            raise InvalidRequest(f"[Error] {name} is not an aggregate function")
        if functions.takes_a_function(name) and len(arguments) > 1:
            self._check_function_argument(unwrapped(arguments[0]), aliases)
        if functions.names_an_aggregate(name):
            text = arguments[0].name if arguments and _is_string(arguments[0]) else ""
            if not functions.is_aggregate(aggregate_name(text)):
                raise InvalidRequest(f"[Error] The first argument of {name} must be the name of an aggregate function")

    def check_name(self, name: str, aliases: AbstractSet[str]) -> None:
        """Raise unless `name` is a function that may be called, or a lambda the query itself has named."""
        if functions.is_allowed(name) or (name in self._lambdas and name in aliases):
            return
        if functions.is_restricted(name):
            raise InvalidRequest(f"[Error] The function {name} is restricted")
        if name in _OF_TEMPLATES:
            raise InvalidRequest(f"Unknown function {name}. Usage: {{{{{name}('secret_name')}}}}")
        raise InvalidRequest(f"[Error] Function with name '{name[:80]}' does not exist, or is not allowed here")

    def check_word(self, name: str, aliases: AbstractSet[str]) -> None:
        """Raise if the engine may take the bare word `name` for a call that may not be made."""
        if functions.is_call_without_brackets(name) and name not in aliases:
            raise InvalidRequest(f"[Error] The function {name} is restricted")

    def _check_function_argument(self, node: exp.Expr, aliases: AbstractSet[str]) -> None:
        """Raise if `node`, where a function is expected, names one that may not be called."""
        if isinstance(node, (exp.Column, exp.Dot, exp.JSONCast, exp.NestedJSONSelect)):
            self.check_name(node.name if isinstance(node, exp.Column) and not node.table else "", aliases)
            if functions.names_an_aggregate(node.name):
                raise InvalidRequest(f"[Error] Write x -> {node.name}(…, x) instead of {node.name}")


def check_table_function(node: exp.Expr) -> None:
    """Raise unless the call `node` may stand where a table does; make sure its structure holds no code.

    Raises:
        InvalidRequest: it may not, or it does.
    """
    name = node.name
    exact = "values" if name.lower() == "values" else name
    if exact in _COPY_TABLE_FUNCTIONS:
        raise InvalidRequest(f"The {name} table function is only allowed in Copy Pipes")
    if exact not in _TABLE_FUNCTIONS or not isinstance(node, exp.Anonymous):
        raise InvalidRequest(f"The query uses disabled table functions: '{name[:80]}'")
    node.set("this", exact)
    if exact not in _WITH_STRUCTURE or not node.expressions:
        return
    first = node.expressions[0]
    if _is_string(first):
        first.replace(exp.Literal.string(canonical_structure(first.name)))
    elif exact != "values" or not isinstance(first, (exp.Literal, exp.Tuple, exp.Neg)):
        raise InvalidRequest(f"[Error] The structure of {name} must be a string")


def unwrapped(node: exp.Expr) -> exp.Expr:
    """Return `node` without the brackets, aliases and plus signs around it, which the engine does not mind."""
    while isinstance(node, (exp.Paren, exp.Alias, Positive)):
        node = node.this
    return node


def _is_distinct(arguments: list[exp.Expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], exp.Distinct)


def _is_string(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)
