"""The papers' tables that can be run, by name, such as enhancenet-5d."""

import difflib

from engine.config import ConfigError
from tune.table import Table
from tune.tables import bottomup, efafnet, enhancenet, mrnet, poserenet

_TABLES = {table.name: table for paper in (enhancenet, poserenet, bottomup, mrnet, efafnet) for table in paper.TABLES}


def list_tables() -> list[str]:
    """Their names."""
    return list(_TABLES)


def find_table(name: str) -> Table:
    """The table of that name, in any case.

    Raises:
        ConfigError: there is none; names the nearest, or all.
    """
    key = name.strip().lower()
    if key not in _TABLES:
        near = difflib.get_close_matches(key, _TABLES, n=3) or _TABLES
        raise ConfigError(f"no table {name!r} that can be run; there are {', '.join(near)}")
    return _TABLES[key]
