"""Users' Python files run as modules do."""

import sys
from pathlib import Path

import pytest

from engine.config import ConfigError
from engine.user_file import load_user_file

DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Options:
    least: float = 0.5
"""


def test_dataclasses_with_postponed_annotations(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(DATACLASS)
    before = set(sys.modules)
    assert load_user_file(tmp_path / "own.py", "detector").Options().least == 0.5
    assert set(sys.modules) - before <= {"dataclasses"}  # Ray's workers would look for a module of that name


def test_what_fails_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match=r"own\.py: ZeroDivisionError"):
        load_user_file(tmp_path / "own.py", "detector")
    assert "detector_own" not in sys.modules
