"""A study's results as SQLite tables: one row a cell, and one an episode."""

import json
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from dspctl.benchmarks.study.record import CellResult, StudyResults
from dspctl.errors import WriteFailed

_COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "environment": "TEXT NOT NULL",
    "method": "TEXT NOT NULL",
    "variant": "TEXT NOT NULL",
    "sparsity": "REAL",
    "penalty": "REAL",
    "seed": "INTEGER NOT NULL",
    "mean_return": "REAL NOT NULL",
    "units": "TEXT NOT NULL",
    "original_units": "TEXT NOT NULL",
    "weights": "INTEGER NOT NULL",
    "nonzero_weights": "INTEGER NOT NULL",
    "original_weights": "INTEGER NOT NULL",
    "flops": "INTEGER NOT NULL",
    "original_flops": "INTEGER NOT NULL",
    "steps": "INTEGER NOT NULL",
    "seconds": "REAL NOT NULL",
    "teacher": "TEXT NOT NULL",
    "machine": "TEXT NOT NULL",
    "settings": "TEXT NOT NULL",
}
"""Lists and settings are JSON, which SQLite's own functions read."""


def save_tables(results: StudyResults, path: Path) -> None:
    """Replace the database atomically.

    Tables: ``cells``, whose columns are the fields of `CellResult` without returns and curve, plus
    ``mean_return``; and ``returns`` with ``key``, ``episode`` and ``value``.

    Raises:
        WriteFailed: it cannot be written; the old one is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with closing(sqlite3.connect(temporary)) as database, database:
            # No file beside it, which a kill would leave; what is half-written is never used.
            database.execute("PRAGMA journal_mode = MEMORY")
            columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            database.execute(f"CREATE TABLE cells ({columns})")
            database.execute(
                "CREATE TABLE returns (key TEXT NOT NULL REFERENCES cells (key), "
                "episode INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (key, episode))"
            )
            marks = ", ".join("?" * len(_COLUMNS))
            database.executemany(f"INSERT INTO cells VALUES ({marks})", map(_row, results.cells))
            database.executemany(
                "INSERT INTO returns VALUES (?, ?, ?)",
                (
                    (cell.key, episode, value)
                    for cell in results.cells
                    for episode, value in enumerate(cell.returns)
                ),
            )
        temporary.replace(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise WriteFailed(
            f"could not write {path} ({error}); what was there before is untouched: free some "
            "space, then repeat the command"
        ) from error
    finally:
        with suppress(OSError):  # gone already after the rename
            temporary.unlink()


def _row(cell: CellResult) -> tuple[str | int | float | None, ...]:
    values = (getattr(cell, name) for name in _COLUMNS)
    return tuple(
        value if isinstance(value, str | int | float | None) else json.dumps(value)
        for value in values
    )
