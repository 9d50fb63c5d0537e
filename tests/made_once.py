"""What every app and every database works out alike is worked out once in a process of tests.

Most tests make an app and a database of their own: the pages, the rules of 120 addresses, 16
tables and each query would be compiled anew for each of them. What is kept was made by the
library itself from the same input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jinja2
from flask import Flask
from jinja2.bccache import Bucket
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

_create_all = MetaData.create_all
_start_engine = Engine.__init__
_parse_rule = Rule._parse_rule
_compile_builder = Rule._compile_builder

_statements: dict[tuple[object, ...], list[str]] = {}
_queries: LRUCache[Any, Any] = LRUCache(2000)
_rules: dict[tuple[object, ...], tuple[Any, ...]] = {}


class CompiledTemplates(jinja2.BytecodeCache):
    """Pages that an app of this process has compiled already; one takes a third of a second."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


def parsed_once(rule: Rule, text: str) -> Iterator[Any]:
    """Parse an address of the app as the first app of this process has parsed it."""
    assert rule.map is not None
    key = (text, rule.merge_slashes, *rule.map.converters.items())
    if key not in _rules:
        before, known, named = len(rule._trace), set(rule._converters), set(rule.arguments)
        parts = list(_parse_rule(rule, text))
        converters = {name: one for name, one in rule._converters.items() if name not in known}
        _rules[key] = parts, rule._trace[before:], converters, rule.arguments - named
        yield from parts
        return
    parts, trace, converters, arguments = _rules[key]
    rule._trace.extend(trace)
    rule._converters.update(converters)
    rule.arguments.update(arguments)
    yield from parts


def compiled_when_called(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    """Compile what writes an address when one is written: an app has 240, a test needs a few."""
    compiled: list[Callable[..., Any]] = []

    def build(*args: Any, **kwargs: Any) -> Any:
        if not compiled:
            compiled.append(_compile_builder(rule, append_unknown))
        return compiled[0](*args, **kwargs)

    return build


def created_as_before(metadata: MetaData, bind: Any, *args: Any, **kwargs: Any) -> None:
    """Create all tables in an empty SQLite database with the statements of the first time."""
    is_plain = isinstance(bind, Connection) and not args and not kwargs
    if not is_plain or bind.dialect.name != "sqlite" or _schema_of(bind):
        _create_all(metadata, bind, *args, **kwargs)
        return
    key = (metadata, *metadata.tables)
    if key not in _statements:
        _create_all(metadata, bind)
        _statements[key] = _schema_of(bind)
        return
    cursor = bind.connection.cursor()
    for statement in _statements[key]:
        cursor.execute(statement)
    cursor.close()


def _schema_of(connection: Connection) -> list[str]:
    rows = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return list(rows.scalars())


def with_known_queries(engine: Engine, *args: Any, **kwargs: Any) -> None:
    """Let all engines of SQLite share the queries that one of them has compiled."""
    _start_engine(engine, *args, **kwargs)
    if isinstance(engine.dialect, SQLiteDialect_pysqlite):
        engine._compiled_cache = _queries


def _all_alike(dialect: SQLiteDialect_pysqlite) -> int:
    return hash((type(dialect), dialect.paramstyle))


def _is_alike(dialect: SQLiteDialect_pysqlite, other: object) -> bool:
    return type(other) is type(dialect) and dialect.paramstyle == other.paramstyle


def install() -> None:
    """Put all of it in place, for this process."""
    Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}
    Rule._parse_rule = parsed_once  # type: ignore[assignment,method-assign]
    Rule._compile_builder = compiled_when_called  # type: ignore[assignment,method-assign]
    MetaData.create_all = created_as_before  # type: ignore[method-assign,assignment]
    Engine.__init__ = with_known_queries  # type: ignore[method-assign,assignment]
    SQLiteDialect_pysqlite.__hash__ = _all_alike  # type: ignore[method-assign,assignment]
    SQLiteDialect_pysqlite.__eq__ = _is_alike  # type: ignore[method-assign,assignment]
