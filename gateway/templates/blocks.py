"""Blocks: the pieces of a template → one closure that writes its SQL.

    {% if c %} … {% elif c %} … {% else %} … {% end %}
    {% for a, b in c %} … {% end %}    {% while c %} … {% end %}    {% break %} {% continue %}
    {% set a = b %}
    {% try %} … {% except Exception as e %} … {% finally %} … {% end %}

Source: templates.md §2.
"""

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.schema.lexer import words
from gateway.templates.closures import Assign, Evaluate
from gateway.templates.context import after
from gateway.templates.errors import LimitExceeded, TemplateError
from gateway.templates.expressions import Compiler
from gateway.templates.lexer import Piece
from gateway.templates.operators import binary
from gateway.templates.run import Run, iterate
from gateway.templates.syntax import cost_of, parse_expression, parse_statement
from gateway.templates.values import NO_VALUE, Missing, quoted, to_sql

# What a piece says about the one after it: go on, or leave the loop, or begin its next round.
_NEXT, _BREAK, _CONTINUE = 0, 1, 2
Execute = Callable[[Run], int]

_DEPTH_MAX: Final = 24
_PIECES_MAX: Final = 20_000
# Places of the SQL from which a piece of text remembers where it leads to.
_STATES_MAX: Final = 8

_FORBIDDEN: Final = words("extends include import from autoescape raw module apply block")
# What may continue which block.
_CONTINUES: Final = {
    "else": ("if", "for", "while", "try"),
    "elif": ("if",),
    "except": ("try",),
    "finally": ("try",),
}
_SECRET_OUTSIDE: Final = re.compile(r"\b(tb_secret|tb_var)\s*\(")

# What an expression may raise beside our own: Python's words for operands that do not go together.
PYTHON_ERRORS: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True)
class Part:
    """An expression of a template, or what a block assigns to, in the order of the text.

    Attributes:
        tree: the expression; an `ast.Name` to be stored into is an assignment.
        line: 1-based line of the template its text begins in.
    """

    tree: ast.expr
    line: int


@dataclass(slots=True)
class _Clause:
    """One arm of a block: `elif c`, `else`, `except E as e`, with its body."""

    operator: str
    suffix: str
    line: int
    body: Execute = field(default=lambda _run: _NEXT)


def as_template_error(error: BaseException) -> TemplateError:
    """Return what Python raised as an error of the template."""
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, RecursionError):
        return LimitExceeded("The template is nested too deeply")
    if isinstance(error, KeyError):
        return TemplateError(f"Missing key {str(error)[:64]} while rendering the template")
    return TemplateError(str(error)[:300] or type(error).__name__)


class BlockCompiler:
    """Makes closures of pieces, one after the other. `parts` is what was met on the way."""

    def __init__(self, found: Sequence[Piece]) -> None:
        if len(found) > _PIECES_MAX:
            raise LimitExceeded(f"The template has more than {_PIECES_MAX} expressions and blocks")
        self._pieces = found
        self._at = 0
        self._depth = 0
        self._loops = 0
        self._cost = 0
        self.parts: list[Part] = []
        names = frozenset(name for piece in found if piece.kind == "block" for name in _assigned(piece.text))
        self._output = Compiler(strict=True, local_names=names)
        self._control = Compiler(strict=False, local_names=names)

    def template(self) -> Execute:
        """Return the closure of all pieces.

        Raises:
            TemplateError: a piece is not allowed, or a block is not closed.
        """
        body, _ = self._body(None)
        return body

    def _body(self, parent: _Clause | None) -> tuple[Execute, _Clause | None]:
        """Return the pieces up to the next clause of `parent`, and that clause; None at its end."""
        made: list[Execute] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            self._cost += 1
            if piece.kind == "text":
                made.append(_text(piece))
            elif piece.kind == "expression":
                made.append(self._expression(piece))
            else:
                operator = piece.text.split(None, 1)[0] if piece.text else ""
                clause = _Clause(operator, piece.text[len(operator) :].strip(), piece.line)
                if operator == "end":
                    if parent is None:
                        raise TemplateError(f"Extra {{% end %}} block at <string>:{piece.line}")
                    return _sequence(made), None
                if operator in _CONTINUES:
                    _check_continues(clause, parent)
                    return _sequence(made), clause
                made.append(self._block(clause))
        if parent is not None:
            raise TemplateError(f"Missing {{% end %}} block for {parent.operator} at line {parent.line}")
        return _sequence(made), None

    def _block(self, clause: _Clause) -> Execute:
        operator, suffix = clause.operator, clause.suffix
        if not operator:
            raise TemplateError(f"Empty block tag ({{% %}}) at <string>:{clause.line}")
        if operator in _FORBIDDEN:
            raise TemplateError(f"{operator} is forbidden at <string>:{clause.line}")
        if operator in ("comment", "whitespace"):
            return lambda _run: _NEXT
        if operator == "set":
            return self._set(suffix, clause.line)
        if operator in ("break", "continue"):
            if not self._loops:
                raise TemplateError(f"{operator} outside {{'for', 'while'}} block at <string>:{clause.line}")
            signal = _BREAK if operator == "break" else _CONTINUE
            return lambda _run: signal
        makers = {"if": self._if, "for": self._for, "while": self._while, "try": self._try}
        if operator not in makers:
            raise TemplateError(f"unknown operator: '{operator[:64]}' at <string>:{clause.line}")
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise LimitExceeded(f"Blocks are nested more than {_DEPTH_MAX} deep at <string>:{clause.line}")
        made = makers[operator](clause)
        self._depth -= 1
        return made

    def _clauses(self, first: _Clause) -> list[_Clause]:
        """Read the bodies of a block up to its end."""
        clauses = [first]
        opener = _Clause(first.operator, "", first.line)
        while True:
            clauses[-1].body, following = self._body(opener)
            if following is None:
                return clauses
            if following.operator == "except" and (name := _exception_name(following)):
                self.parts.append(Part(ast.Name(name, ast.Store()), following.line))
            clauses.append(following)

    def _value(self, tree: ast.expr, line: int, *, is_output: bool = False) -> Evaluate:
        """Return the closure of an expression. Loops are charged for the size of what is in them, once a round."""
        self.parts.append(Part(tree, line))
        self._cost += cost_of(tree)
        return (self._output if is_output else self._control).expression(tree)

    def _target(self, tree: ast.expr, line: int) -> Assign:
        self.parts.append(Part(tree, line))
        return self._control.target(tree)

    def _expression(self, piece: Piece) -> Execute:
        source = piece.text
        evaluate = self._value(parse_expression(source, piece.line), piece.line, is_output=True)

        def execute(run: Run) -> int:
            value = evaluate(run)
            if isinstance(value, Missing):
                run.placeholder(value)
                run.write(quoted(NO_VALUE), source)
            else:
                run.write(to_sql(value, source), source)
            return _NEXT

        return execute

    def _set(self, source: str, line: int) -> Execute:
        tree = parse_statement(source, line) if source else None
        if isinstance(tree, ast.Expr):
            only = self._value(tree.value, line)

            def evaluated(run: Run) -> int:
                only(run)
                return _NEXT

            return evaluated
        if isinstance(tree, ast.AugAssign) and isinstance(tree.target, ast.Name):
            read, kind = ast.copy_location(ast.Name(tree.target.id, ast.Load()), tree.target), type(tree.op)
            before, change = self._value(read, line), self._value(tree.value, line)
            store = self._target(tree.target, line)

            def changed(run: Run) -> int:
                store(run, binary(run, kind, before(run), change(run)))
                return _NEXT

            return changed
        if not isinstance(tree, ast.Assign):
            raise TemplateError(f"set takes one assignment, name = expression, at <string>:{line}")
        value = self._value(tree.value, line)
        targets = [self._target(target, line) for target in tree.targets]

        def assigned(run: Run) -> int:
            found = value(run)
            for target in targets:
                target(run, found)
            return _NEXT

        return assigned

    def _if(self, first: _Clause) -> Execute:
        tests = [self._value(parse_expression(first.suffix, first.line), first.line)]
        clauses = [first]
        opener = _Clause("if", "", first.line)
        while True:
            clauses[-1].body, following = self._body(opener)
            if following is None:
                break
            if clauses[-1].operator == "else":
                raise TemplateError(f"{following.operator} after else at <string>:{following.line}")
            if following.operator == "elif":
                tests.append(self._value(parse_expression(following.suffix, following.line), following.line))
            clauses.append(following)
        arms = [(test, clause.body) for test, clause in zip(tests, clauses, strict=False)]
        otherwise = clauses[-1].body if clauses[-1].operator == "else" else None

        def execute(run: Run) -> int:
            for test, body in arms:
                if test(run):
                    return body(run)
            return otherwise(run) if otherwise is not None else _NEXT

        return execute

    def _for(self, clause: _Clause) -> Execute:
        tree = parse_statement(f"for {clause.suffix}:\n pass", clause.line)
        if not isinstance(tree, ast.For) or tree.orelse or [type(node) for node in tree.body] != [ast.Pass]:
            raise TemplateError(f"invalid syntax at <string>:{clause.line}")
        values = self._value(tree.iter, clause.line)
        assign = self._target(tree.target, clause.line)
        body, otherwise, cost = self._loop_bodies(clause)

        def execute(run: Run) -> int:
            for value in iterate(run, values(run)):
                run.charge(cost)
                assign(run, value)
                if body(run) == _BREAK:
                    return _NEXT
            return otherwise(run)

        return execute

    def _while(self, clause: _Clause) -> Execute:
        place = len(self.parts)
        test = self._value(parse_expression(clause.suffix, clause.line), clause.line)
        body, otherwise, cost = self._loop_bodies(clause)
        cost += cost_of(self.parts[place].tree)

        def execute(run: Run) -> int:
            while test(run):
                run.charge(cost)
                if body(run) == _BREAK:
                    return _NEXT
            return otherwise(run)

        return execute

    def _loop_bodies(self, clause: _Clause) -> tuple[Execute, Execute, int]:
        """Return the body of a loop, that of its `else`, and what a round is charged."""
        before = self._cost
        self._loops += 1
        clauses = self._clauses(clause)
        self._loops -= 1
        cost = 1 + self._cost - before
        if len(clauses) > 2:
            raise TemplateError(f"{clauses[2].operator} after else at <string>:{clauses[2].line}")
        return clauses[0].body, clauses[1].body if len(clauses) > 1 else lambda _run: _NEXT, cost

    def _try(self, first: _Clause) -> Execute:
        clauses = self._clauses(first)
        handlers = [clause for clause in clauses if clause.operator == "except"]
        if len(clauses) < 2 or len({clause.operator for clause in clauses}) < len(clauses) - max(0, len(handlers) - 1):
            raise TemplateError(f"try takes except or finally, and else and finally once, at <string>:{first.line}")
        by_operator = {clause.operator: clause.body for clause in reversed(clauses)}
        name = _exception_name(handlers[0]) if handlers else ""

        def guarded(run: Run) -> int:
            names, depth = run.names, run.depth
            try:
                signal = first.body(run)
            except (TemplateError, *PYTHON_ERRORS) as error:
                if not handlers or isinstance(error, LimitExceeded):
                    raise
                run.names, run.depth = names, depth
                if name:
                    run.names[name] = as_template_error(error).reason
                return by_operator["except"](run)
            otherwise = by_operator.get("else")
            return otherwise(run) if otherwise is not None and signal == _NEXT else signal

        finally_ = by_operator.get("finally")
        if finally_ is None:
            return guarded

        def execute(run: Run) -> int:
            try:
                signal = guarded(run)
            except (TemplateError, *PYTHON_ERRORS):
                finally_(run)
                raise
            return finally_(run) or signal

        return execute


def _text(piece: Piece) -> Execute:
    text = piece.text
    if outside := _SECRET_OUTSIDE.search(text):
        raise TemplateError(f"Unknown function {outside[1]}. Usage: {{{{{outside[1]}('secret_name')}}}}")

    moves: dict[str, str] = {}

    def execute(run: Run) -> int:
        state = run.state
        found = moves.get(state)
        if found is None:
            found = after(state, text)
            if len(moves) < _STATES_MAX:
                moves[state] = found
        run.state = found
        run.emit(text)
        return _NEXT

    return execute


def _sequence(made: list[Execute]) -> Execute:
    if len(made) == 1:
        return made[0]

    def execute(run: Run) -> int:
        for each in made:
            if signal := each(run):
                return signal
        return _NEXT

    return execute


def _check_continues(clause: _Clause, parent: _Clause | None) -> None:
    allowed = _CONTINUES[clause.operator]
    if parent is None:
        shown = ", ".join(repr(name) for name in allowed)
        raise TemplateError(f"{clause.operator} outside {{{shown}}} block at <string>:{clause.line}")
    if parent.operator not in allowed:
        raise TemplateError(
            f"{clause.operator} block cannot be attached to {parent.operator} block at <string>:{clause.line}"
        )


def _exception_name(clause: _Clause) -> str:
    """Return the name behind `as`; which kind of error stands before it makes no difference."""
    tree = parse_statement(f"try:\n pass\nexcept {clause.suffix}:\n pass", clause.line)
    if not isinstance(tree, ast.Try) or len(tree.handlers) != 1 or len(tree.handlers[0].body) != 1:
        raise TemplateError(f"invalid syntax at <string>:{clause.line}")
    name = tree.handlers[0].name or ""
    if name.startswith("_"):
        raise TemplateError(f"Invalid name: {name}")
    return name


def _assigned(block: str) -> list[str]:
    """Return the names a `set` or `for` may put a function behind."""
    found = re.match(r"(?:set|for)\s+([^=]*?)(?:=|\bin\b)", block)
    return re.findall(r"[A-Za-z_]\w*", found[1]) if found else []
