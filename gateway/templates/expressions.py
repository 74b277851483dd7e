"""Expressions: Python's grammar, our meaning. An expression is parsed by `ast` and made into closures over a `Run`.

A node that is not in one of the two tables below is refused when the template is compiled: nothing is evaluated by
Python, no attribute is read, and no object but values is ever in reach. `{{ }}` takes less than a block does.

Source: templates.md §3.
"""

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from gateway.schema.lexer import words
from gateway.templates import methods
from gateway.templates.builtins import IN_OUTPUT, PYTHON
from gateway.templates.closures import Assign, Evaluate, applied, item_assignment, unpacking
from gateway.templates.errors import LimitExceeded, TemplateError
from gateway.templates.functions import HELPERS, SECRETS, secret_name
from gateway.templates.operators import BINARY, UNARY, binary, compare, formatted, subscript, unary
from gateway.templates.run import BITS_MAX, KEYS_MAX, Run, call_lambda, checked, iterate, too_large, weigh
from gateway.templates.syntax import cost_of
from gateway.templates.typed import DOCUMENTING, TYPED
from gateway.templates.values import Lambda, Missing

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {**PYTHON, **HELPERS, **TYPED}

_IN_OUTPUT: Final = frozenset({*HELPERS, *TYPED, *IN_OUTPUT})
_OUTPUT_OPERATORS: Final = frozenset({ast.Add, ast.Sub, ast.Mult})
# Called by these names, Python would give a way out; they are good names for parameters, though.
_BLOCKED: Final = words("""
    eval exec compile getattr setattr delattr hasattr globals locals vars dir breakpoint help memoryview type object
    super classmethod staticmethod property exit quit open input print id
    """)
# Of typed functions everything behind these positions is ignored, as old templates have a description there.
_POSITIONS: Final = {"Array": 3}
_SHOWN_CHARS_MAX: Final = 120


class Compiler:
    """Makes closures of trees; `strict` is what `{{ }}` takes.

    Args:
        strict: only what `{{ }}` takes.
        local_names: names the template sets anywhere; a function may be behind one.
    """

    def __init__(self, *, strict: bool, local_names: frozenset[str]) -> None:
        self._strict = strict
        self._locals = local_names

    def expression(self, node: ast.expr) -> Evaluate:
        """Return the closure that evaluates `node`.

        Raises:
            TemplateError: it, or something in it, is not allowed here.
        """
        make = (_OUTPUT if self._strict else _CONTROL).get(type(node))
        if make is None:
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        return make(self, node)

    def target(self, node: ast.expr) -> Assign:
        """Return the closure that assigns to `node`: names, tuples of them, items of lists and objects.

        Raises:
            TemplateError: nothing can be assigned to it.
        """
        if isinstance(node, ast.Name):
            name = self._checked_name(node.id)

            def assign(run: Run, value: Any) -> None:
                run.names[name] = value

            return assign
        if isinstance(node, ast.Tuple | ast.List):
            return unpacking([self.target(item) for item in node.elts])
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            return item_assignment(self.expression(node.value), self.expression(node.slice))
        raise TemplateError(f"Invalid expression type: {_dump(node)}")

    def _checked_name(self, name: str) -> str:
        is_dunder = name.startswith("__") and name.endswith("__")
        if is_dunder or (not self._strict and name.startswith("_") and name != "_" and not name.startswith("__tb__")):
            raise TemplateError(f"Invalid name: {name[:_SHOWN_CHARS_MAX]}")
        return name

    def name(self, node: ast.Name) -> Evaluate:
        """A name: what the template has set, else what was sent, else missing."""
        name = self._checked_name(node.id)
        missing = Missing(name)

        return lambda run: run.names.get(name, missing)

    def constant(self, node: ast.Constant) -> Evaluate:
        """A text, a number, True, False or None."""
        value = node.value
        if value is not None and type(value) not in (str, int, float, bool):
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        if isinstance(value, int) and value.bit_length() > BITS_MAX:
            raise LimitExceeded("A number in the template is too large")
        return lambda _run: value

    def unary(self, node: ast.UnaryOp) -> Evaluate:
        """`-x`, `not x`."""
        operand, kind = self.expression(node.operand), type(node.op)
        if kind is ast.Not:
            return lambda run: not operand(run)
        if kind not in UNARY or (self._strict and kind is not ast.USub):
            raise TemplateError(f"Invalid UnaryOp: {ast.dump(node.op)}")
        return lambda run: unary(run, kind, operand(run))

    def binary(self, node: ast.BinOp) -> Evaluate:
        """`a + b` and the like."""
        kind = type(node.op)
        if kind not in BINARY or (self._strict and kind not in _OUTPUT_OPERATORS):
            raise TemplateError(f"Invalid BinOp: {ast.dump(node.op)}")
        left, right = self.expression(node.left), self.expression(node.right)
        return lambda run: binary(run, kind, left(run), right(run))

    def boolean(self, node: ast.BoolOp) -> Evaluate:
        """`a and b`, `a or b`: the value that decides."""
        operands, stops_at = [self.expression(value) for value in node.values], isinstance(node.op, ast.Or)

        def evaluate(run: Run) -> Any:
            value = None
            for operand in operands:
                value = operand(run)
                if bool(value) is stops_at:
                    break
            return value

        return evaluate

    def compare(self, node: ast.Compare) -> Evaluate:
        """`a < b <= c`."""
        first = self.expression(node.left)
        rest = [(type(op), self.expression(right)) for op, right in zip(node.ops, node.comparators, strict=True)]

        def evaluate(run: Run) -> bool:
            left = first(run)
            for kind, operand in rest:
                right = operand(run)
                if not compare(run, kind, left, right):
                    return False
                left = right
            return True

        return evaluate

    def conditional(self, node: ast.IfExp) -> Evaluate:
        """`a if c else b`."""
        test, yes, no = self.expression(node.test), self.expression(node.body), self.expression(node.orelse)
        return lambda run: yes(run) if test(run) else no(run)

    def sequence(self, node: ast.List | ast.Tuple | ast.Set) -> Evaluate:
        """`[a, b]`, `(a, b)`, `{a, b}`."""
        items = [self.expression(item) for item in node.elts]
        make: Callable[[list[Any]], Any] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return lambda run: checked(run, make([item(run) for item in items]))

    def mapping(self, node: ast.Dict) -> Evaluate:
        """`{'k': v}`."""
        if None in node.keys:
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        keys = [self.expression(key) for key in node.keys if key is not None]
        pairs = list(zip(keys, map(self.expression, node.values), strict=True))
        return lambda run: checked(run, {key(run): value(run) for key, value in pairs})

    def subscript(self, node: ast.Subscript) -> Evaluate:
        """`a[b]`."""
        value, key = self.expression(node.value), self.expression(node.slice)
        return lambda run: subscript(run, value(run), key(run))

    def slice(self, node: ast.Slice) -> Evaluate:
        """`a:b:c` in a subscript."""
        parts = [self.expression(part) if part is not None else None for part in (node.lower, node.upper, node.step)]
        return lambda run: slice(*[part(run) if part is not None else None for part in parts])

    def joined(self, node: ast.JoinedStr) -> Evaluate:
        """`f'…{a}…'`."""
        parts = [self.expression(part) for part in node.values]
        return lambda run: checked(run, "".join([part(run) for part in parts]))

    def formatted(self, node: ast.FormattedValue) -> Evaluate:
        """`{a:3}` in an f-string."""
        value, spec = self.expression(node.value), ""
        if node.conversion not in (-1, ord("s")):
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        if isinstance(node.format_spec, ast.JoinedStr):
            texts = [part.value for part in node.format_spec.values if isinstance(part, ast.Constant)]
            if len(texts) != len(node.format_spec.values):
                raise TemplateError(f"Invalid expression type: {_dump(node)}")
            spec = "".join(str(text) for text in texts)
        return lambda run: formatted(run, value(run), spec)

    def attribute(self, node: ast.Attribute) -> Evaluate:
        """`a.b`, which is not a call: never."""
        raise TemplateError(f"Invalid attribute: {node.attr[:_SHOWN_CHARS_MAX]}")

    def function(self, node: ast.Lambda) -> Evaluate:
        """`lambda a, b: …`."""
        given = node.args
        if given.vararg or given.kwarg or given.kwonlyargs or given.defaults or given.kw_defaults:
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        names = [self._checked_name(arg.arg) for arg in [*given.posonlyargs, *given.args]]
        body, cost = self.expression(node.body), cost_of(node.body)

        def evaluate(run: Run) -> Lambda:
            outer = run.names

            def call(args: list[Any]) -> Any:
                if len(args) != len(names):
                    raise TemplateError(f"a function takes {len(names)} arguments, {len(args)} were given")
                run.charge(cost + (len(outer) >> 2))
                before, run.names = run.names, {**outer, **dict(zip(names, args, strict=True))}
                try:
                    return body(run)
                finally:
                    run.names = before

            return Lambda(call)

        return evaluate

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Evaluate:
        """`[f(a) for a in b if c]` and its kin; a generator is a list."""
        loops = []
        for each in node.generators:
            if each.is_async:
                raise TemplateError(f"Invalid expression type: {_dump(node)}")
            conditions = [self.expression(condition) for condition in each.ifs]
            cost = cost_of(each.target) + sum(map(cost_of, each.ifs))
            loops.append((self.expression(each.iter), self.target(each.target), conditions, cost))
        make: Callable[[Iterable[Any]], Any] = list
        if isinstance(node, ast.DictComp):
            elements = cost_of(node.key) + cost_of(node.value)
            item, make = self._pair(node), dict
        else:
            item, elements = self.expression(node.elt), cost_of(node.elt)
            make = set if isinstance(node, ast.SetComp) else list

        def evaluate(run: Run) -> Any:
            found: list[Any] = []

            def one_more() -> None:
                run.charge(elements)
                found.append(item(run))

            run.charge(len(run.names) >> 2)
            before, run.names = run.names, dict(run.names)
            try:
                _loop(run, loops, 0, one_more)
            finally:
                run.names = before
            if make is not list and len(found) > KEYS_MAX:
                raise too_large()
            return checked(run, make(checked(run, found)))

        return evaluate

    def _pair(self, node: ast.DictComp) -> Evaluate:
        key, value = self.expression(node.key), self.expression(node.value)

        def evaluate(run: Run) -> Any:
            found = key(run)
            weigh(run, found)
            return found, value(run)

        return evaluate

    def call(self, node: ast.Call) -> Evaluate:
        """A call of a function, of a method, or of a function of the template's own."""
        if any(keyword_.arg is None for keyword_ in node.keywords):
            raise TemplateError(f"Invalid expression type: {_dump(node)}")
        if isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        if isinstance(node.func, ast.Name) and not (not self._strict and node.func.id in self._locals):
            return self._function_call(node, self._checked_function(node.func.id))
        return self._lambda_call(node)

    def _checked_function(self, name: str) -> str:
        if name in _BLOCKED or (name.startswith("__") and name.endswith("__")):
            is_name = name.startswith("__")
            raise TemplateError(f"Invalid {'name' if is_name else 'function name'}: {name[:_SHOWN_CHARS_MAX]}")
        if self._strict and name not in _IN_OUTPUT:
            raise TemplateError(f"Invalid function name: {name[:_SHOWN_CHARS_MAX]}")
        if name not in FUNCTIONS:
            raise TemplateError(
                "wrong syntax, you might be using a not valid function inside a control block: "
                f"{name[:_SHOWN_CHARS_MAX]}"
            )
        return name

    def _function_call(self, node: ast.Call, name: str) -> Evaluate:
        function, is_typed = FUNCTIONS[name], name in TYPED
        args = [self.expression(arg) for arg in node.args]
        named = {str(each.arg): self.expression(each.value) for each in node.keywords}
        if is_typed and not args:
            raise TemplateError("one of the transform type functions is missing an argument")
        if not is_typed or not DOCUMENTING.issuperset(named):
            try:
                _signature(name).bind(None, *args, **named)
            except TypeError as error:
                raise TemplateError(f"{name}(): {error}") from None
        if name in SECRETS:
            first = node.args[0]
            secret_name(first.value if isinstance(first, ast.Constant) else None)
        if is_typed:
            args = args[: _POSITIONS.get(name, 2)]
            named = {key: value for key, value in named.items() if key not in DOCUMENTING}
        call = applied(function, args, named)
        return (lambda run: checked(run, call(run))) if name in PYTHON or name == "split_to_array" else call

    def _method_call(self, node: ast.Call, method: ast.Attribute) -> Evaluate:
        name = method.attr
        if self._strict and name not in methods.IN_OUTPUT:
            raise TemplateError(f"Invalid method name: {name[:_SHOWN_CHARS_MAX]}")
        if name not in methods.KNOWN:
            raise TemplateError(f"Invalid attribute: {name[:_SHOWN_CHARS_MAX]}")
        value, args = self.expression(method.value), [self.expression(arg) for arg in node.args]
        named = {str(each.arg): self.expression(each.value) for each in node.keywords}
        return lambda run: methods.call_method(
            run, value(run), name, [arg(run) for arg in args], {key: each(run) for key, each in named.items()}
        )

    def _lambda_call(self, node: ast.Call) -> Evaluate:
        function, args = self.expression(node.func), [self.expression(arg) for arg in node.args]
        if node.keywords:
            raise TemplateError(f"Invalid expression type: {_dump(node)}")

        def evaluate(run: Run) -> Any:
            found = function(run)
            if not isinstance(found, Lambda):
                raise TemplateError("wrong syntax, you might be using a not valid function inside a control block")
            return call_lambda(run, found, [arg(run) for arg in args])

        return evaluate


def _loop(run: Run, loops: list[Any], depth: int, found: Callable[[], None]) -> None:
    """Go through all loops of a comprehension, one within the other."""
    values, assign, conditions, cost = loops[depth]
    for value in iterate(run, values(run)):
        run.charge(cost)
        assign(run, value)
        if all(condition(run) for condition in conditions):
            if depth + 1 < len(loops):
                _loop(run, loops, depth + 1, found)
            else:
                found()


@cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FUNCTIONS[name])


def _dump(node: ast.AST) -> str:
    return ast.dump(node)[:_SHOWN_CHARS_MAX]


_OUTPUT: Final[dict[type[ast.AST], Callable[[Compiler, Any], Evaluate]]] = {
    ast.Name: Compiler.name,
    ast.Constant: Compiler.constant,
    ast.UnaryOp: Compiler.unary,
    ast.BinOp: Compiler.binary,
    ast.IfExp: Compiler.conditional,
    ast.List: Compiler.sequence,
    ast.Tuple: Compiler.sequence,
    ast.Dict: Compiler.mapping,
    ast.Subscript: Compiler.subscript,
    ast.Slice: Compiler.slice,
    ast.JoinedStr: Compiler.joined,
    ast.FormattedValue: Compiler.formatted,
    ast.Call: Compiler.call,
}
_CONTROL: Final[dict[type[ast.AST], Callable[[Compiler, Any], Evaluate]]] = {
    **_OUTPUT,
    ast.BoolOp: Compiler.boolean,
    ast.Compare: Compiler.compare,
    ast.Set: Compiler.sequence,
    ast.ListComp: Compiler.comprehension,
    ast.SetComp: Compiler.comprehension,
    ast.DictComp: Compiler.comprehension,
    ast.GeneratorExp: Compiler.comprehension,
    ast.Lambda: Compiler.function,
    ast.Attribute: Compiler.attribute,
}
