"""What commands print, on any terminal."""

import io
import sys

import pytest

from commands.screen import say


def test_names_that_are_not_utf_8_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8", errors="strict", write_through=True))
    say("\udcff[b]ä.jpg cannot be read")
    assert written.getvalue().decode() == "\\udcff[b]ä.jpg cannot be read\n"
