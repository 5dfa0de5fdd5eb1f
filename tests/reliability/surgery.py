"""Small changes of the engine's source, each found by function and syntax, never by the text of a line.

A change names a function (`decide`, `Sweep._compare`, or `evidence.answer` where several files have one of the
name), which is looked for in all files of the engine, and in it the one condition, statement, comparison, call or
expression that mentions some words (names, attributes, pieces of strings).  So a line may be moved, wrapped or
commented, and a function may move to another file.  A change whose place is gone, or no longer the only one, raises
NoPlace and says what it looked for.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from interlock.engine.core.table import TRANSITIONS

T = TypeVar("T")

Change: TypeAlias = Callable[["Sources"], tuple[str, str]]
"""Gives the file that is changed, from the engine's folder, and its new text."""

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_OPERATORS: Final[dict[str, type[ast.cmpop]]] = {
    "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE, "==": ast.Eq, "!=": ast.NotEq,
}  # fmt: skip


class NoPlace(LookupError):
    """What a change looks for is not there, or stands there more than once."""


class Sources:
    """The engine's text, and where each of its functions and SQL statements stands."""

    def __init__(self, engine: Path) -> None:
        self.texts = {
            path.relative_to(engine).as_posix(): path.read_text("utf-8")
            for path in sorted((*engine.rglob("*.py"), *engine.rglob("*.sql")))
        }
        self._places: dict[str, list[str]] = {}
        for file, text in self.texts.items():
            if file.endswith(".py"):
                for name, _ in _functions(ast.parse(text)):
                    self._places.setdefault(name, []).append(file)
                    self._places.setdefault(f"{Path(file).stem}.{name}", []).append(file)

    def function(self, name: str) -> tuple[str, ast.Module, _Function]:
        """Return the file of the one function of this name, a fresh tree of it, and the function in it."""
        files = self._places.get(name, [])
        if len(files) != 1:
            near = ", ".join(difflib.get_close_matches(name, self._places, 4)) or "none"
            where = f"stands in {', '.join(files)}" if files else f"stands nowhere; near are {near}"
            raise NoPlace(f"the function {name} {where}")
        tree = ast.parse(self.texts[files[0]])
        own = name.removeprefix(f"{Path(files[0]).stem}.")
        return files[0], tree, next(node for found, node in _functions(tree) if found == own)

    def statement(self, name: str) -> tuple[str, re.Match[str]]:
        """Return the file of the one SQL statement of this name, and where its text stands."""
        pattern = re.compile(rf"(?ms)^-- name: {name}\b[^\n]*\n(.*?)(?=^-- name:|\Z)")
        found = [(file, match) for file, text in self.texts.items() for match in pattern.finditer(text)]
        return _only(found, f"the SQL statement {name}")


def _functions(tree: ast.Module) -> Iterator[tuple[str, _Function]]:
    for node in tree.body:
        if isinstance(node, _Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if isinstance(each, _Function))


def _only(found: list[T], what: str) -> T:
    if len(found) != 1:
        raise NoPlace(f"{what}: found {len(found)} times, not once")
    return found[0]


def _words(node: ast.AST) -> Iterator[str]:
    """Every name, attribute and string in a node."""
    for each in ast.walk(node):
        for field in ("id", "attr", "arg", "name"):
            word = getattr(each, field, None)
            if isinstance(word, str):
                yield word
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield from (each.value, *re.findall(r"\w+", each.value))


def _innermost(function: _Function, nodes: list[ast.AST], words: tuple[str, ...], kind: str) -> ast.AST:
    """Return the one of these nodes that mentions all the words and has no such node inside."""
    mention = [node for node in nodes if set(words) <= set(_words(node))]
    inner = [node for node in mention if not any(other is not node and other in ast.walk(node) for other in mention)]
    return _only(inner, f"in {function.name}, {kind} that mentions {', '.join(words)}")


def _conditions(function: _Function) -> list[ast.AST]:
    found: list[ast.AST] = []
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            found.append(node.test)
        elif isinstance(node, ast.BoolOp):
            found += node.values
        elif isinstance(node, ast.comprehension):
            found += node.ifs
    return found


class _Swap(ast.NodeTransformer):
    """Puts a new node in the place of an old one."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _edit(name: str, find: Callable[[_Function], tuple[ast.AST, ast.AST]]) -> Change:
    """In a function, one node becomes another."""

    def change(sources: Sources) -> tuple[str, str]:
        file, tree, function = sources.function(name)
        old, new = find(function)
        return file, ast.unparse(ast.fix_missing_locations(_Swap(old, new).visit(tree)))

    return change


def returns(name: str, expression: str) -> Change:
    """The function does nothing but return this."""

    def change(sources: Sources) -> tuple[str, str]:
        file, tree, function = sources.function(name)
        function.body = [ast.Return(_expression(expression))]
        return file, ast.unparse(ast.fix_missing_locations(tree))

    return change


def forces(name: str, *words: str, to: bool) -> Change:
    """A condition, or a part of one that `and` or `or` joins, is always this."""
    return _edit(name, lambda f: (_innermost(f, _conditions(f), words, "a condition"), ast.Constant(to)))


def drops(name: str, *words: str) -> Change:
    """A statement is not there."""

    def find(function: _Function) -> tuple[ast.AST, ast.AST]:
        statements: list[ast.AST] = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
        return _innermost(function, statements, words, "a statement"), ast.Pass()

    return _edit(name, find)


def compares(name: str, *words: str, by: str) -> Change:
    """A comparison has another operator."""

    def find(function: _Function) -> tuple[ast.AST, ast.AST]:
        every: list[ast.AST] = [node for node in ast.walk(function) if isinstance(node, ast.Compare)]
        old = _innermost(function, every, words, "a comparison")
        assert isinstance(old, ast.Compare)
        return old, ast.Compare(old.left, [_OPERATORS[by]()], old.comparators)

    return _edit(name, find)


def calls(name: str, old: str, new: str | None) -> Change:
    """The one call of `old` is a call of `new`; None: its first argument stands alone."""

    def find(function: _Function) -> tuple[ast.AST, ast.AST]:
        every = [node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == old]
        call = _only(every, f"in {name}, a call of {old}")
        return call, call.args[0] if new is None else ast.Call(_expression(new), call.args, call.keywords)

    return _edit(name, find)


def gives(name: str, keyword: str, expression: str) -> Change:
    """The one keyword argument of this name gets another value."""

    def find(function: _Function) -> tuple[ast.AST, ast.AST]:
        every = [node for node in ast.walk(function) if isinstance(node, ast.keyword) and node.arg == keyword]
        return _only(every, f"in {name}, the argument {keyword}=").value, _expression(expression)

    return _edit(name, find)


def replaces(name: str, old: str, new: str) -> Change:
    """The one expression that reads `old`, however it is laid out, reads `new`."""

    def find(function: _Function) -> tuple[ast.AST, ast.AST]:
        same = ast.dump(_expression(old))
        every = [node for node in ast.walk(function) if isinstance(node, ast.expr) and ast.dump(node) == same]
        return _only(every, f"in {name}, the expression {old}"), _expression(new)

    return _edit(name, find)


def says(name: str, pattern: str, new: str) -> Change:
    """In the SQL statement of this name, the one match of a pattern becomes `new`; a space stands for any space."""

    def change(sources: Sources) -> tuple[str, str]:
        file, found = sources.statement(name)
        spaced = re.compile(pattern.replace(" ", r"\s+"))
        match = _only(list(spaced.finditer(found[1])), f"in the SQL statement {name}, {pattern}")
        sql = found[1][: match.start()] + new + found[1][match.end() :]
        text = sources.texts[file]
        return file, text[: found.start(1)] + sql + text[found.end(1) :]

    return change


def row(trigger: str, source: str | None, becomes: str) -> Change:
    """In the table, the row of this trigger and source becomes these rows (text over `row`); None: from everywhere."""

    def change(sources: Sources) -> tuple[str, str]:
        every = [row for row in TRANSITIONS if row.trigger == trigger and source in (None, row.source)]
        if not every or (source and len(every) > 1):
            raise NoPlace(f"the table's row {trigger} from {source or 'everywhere'}: found {len(every)} times")
        which = f"row.trigger == {trigger!r} and {source!r} in (None, row.source)"
        edit = f"TRANSITIONS = tuple(each for row in TRANSITIONS for each in ({becomes} if {which} else (row,)))"
        return "core/table.py", f"{sources.texts['core/table.py']}\n{edit}\n"

    return change


def unguarded(trigger: str, source: str | None, guard: str) -> Change:
    """A row of the table does without a guard."""
    kept = f"tuple(each for each in row.guards if each.__name__ != {guard!r})"
    return row(trigger, source, f"(msgspec.structs.replace(row, guards={kept}),)")
