"""Runs a guide's blocks one after the other, as a reader would who types them."""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from guide_blocks import Block, command_lines, is_run
from typer.testing import CliRunner

import posestream
from pose.errors import UserError

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
_SHELL_S = 200
_OWN_PROCESS = ("tune", "ablate")
"""They start Ray, which is better not started in the tests' process."""


@dataclass
class Reader:
    """Somebody who follows a page in a folder; `printed` is what the last block that was run printed."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "guide"})
    printed: str = ""

    def follow(self, block: Block) -> None:
        """Do what the block says. Fails with its line and what was printed."""
        if block.mark == "file":
            path = self.folder / block.words
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.mark == "prints":
            missing = [line for line in block.text.splitlines() if not _is_in(line, self.printed)]
            assert missing == [], f"line {block.line}: not in what was printed:\n{self.printed}"
        elif is_run(block):
            self.printed = self._shell(block) if block.language == "bash" else self._python(block)

    def _shell(self, block: Block) -> str:
        printed = ""
        lines = [line for text in command_lines(block.text) for line in text.split(" && ")]
        for number, line in enumerate(lines, start=1):
            status, output = self._run(line, block)
            printed += output
            expected = int(block.words) if block.mark == "exit" and number == len(lines) else 0
            assert status == expected, f"line {block.line}: {line}\nexit status {status}, expected {expected}\n{output}"
        return printed

    def _run(self, line: str, block: Block) -> tuple[int, str]:
        words = shlex.split(os.path.expandvars(line))
        if words[0] == "posestream":
            extra = shlex.split(block.words) if block.mark == "run with" else []
            if words[1] not in _OWN_PROCESS:
                return _posestream([*words[1:], *extra])
            line = shlex.join([*words, *extra])
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=_SHELL_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _python(self, block: Block) -> str:
        if ">>>" in block.text:
            return self._doctest(block)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block.text, f"line {block.line}", "exec"), self.names)
        return output.getvalue()

    def _doctest(self, block: Block) -> str:
        output = io.StringIO()
        test = doctest.DocTestParser().get_doctest(block.text, self.names, "guide", None, block.line)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(test, out=output.write, clear_globs=False)
        assert runner.failures == 0, output.getvalue()
        self.names |= test.globs
        return output.getvalue()


def _posestream(words: list[str]) -> tuple[int, str]:
    """In this process, because starting Python and torch takes longer than most commands."""
    result = CliRunner().invoke(posestream.app, words)
    if isinstance(result.exception, UserError | OSError):  # as posestream.main says it
        return 1, f"{result.output}error: {result.exception}\n"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def _is_in(line: str, printed: str) -> bool:
    """Whether a line was printed, with any numbers and spaces; "…" stands for anything."""
    return all(_plain(part) in _plain(printed) for part in line.split("…"))


def _plain(text: str) -> str:
    return " ".join(_NUMBER.sub("#", text).split())


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("NO_COLOR", "1")
    return Reader(tmp_path)
