"""Commands in the guides are run or say why not; what they name exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from guide_blocks import DOCS, PAGES, Block, blocks, command_lines, is_run
from typer.main import get_command

import posestream
from engine.config import override
from recipes import list_recipes, load_recipe
from tune.job_arguments import SUBMITTED

ROOT = DOCS.parent
DOCUMENTS = sorted([*PAGES, *ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")])
MARKS = {"": 0, "norun": 12, "run with": 3, "exit": 1, "prints": 0, "file": 3}
SHOWN_ONLY = ("", "text", "json", "yaml", "dockerfile", "diff", "toctree", "generated")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        assert block.mark in MARKS, f"{where}: no mark {block.mark!r}"
        assert len(block.words) >= MARKS[block.mark], f"{where}: {block.mark} needs words, such as a reason"
        named = re.findall(r"\btests/[\w./]*\w", block.words)
        assert [path for path in named if not (ROOT / path).exists()] == [], where
        if block.mark in ("file", "norun") or is_run(block):
            continue
        language = block.language.split(" ")[0].strip("{}")
        assert language in SHOWN_ONLY, f"{where}: {block.language!r} is neither run nor shown; give it a mark"
        if block.mark != "prints":
            hidden = [line for line in block.text.splitlines() if re.match(r"\s*(\$ )?posestream ", line)]
            assert hidden == [], f"{where}: commands belong into a block of bash"


def options_of(command: Any) -> set[str]:
    """Of a command, and of those that it is short for."""
    below = [options_of(one) for one in getattr(command, "commands", {}).values()]
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*below)


def calls(document: Path) -> list[str]:
    """What follows `posestream` in the document's blocks, and in its prose where it is more than the name.

    Blocks that show an error are left out.
    """
    shown = [block for block in blocks(document) if block.language in ("", "bash") and block.mark != "exit"]
    lines = [line for block in shown for line in command_lines(block.text)]
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.S | re.M)
    prose = [" ".join(call.split()) for call in re.findall(r"`posestream ([a-z][^`]*)`", text)]
    return [call for line in lines for call in re.findall(r"posestream ([^;&#|]+)", line)] + prose


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_command_exists_with_its_options_and_its_recipe(document: Path) -> None:
    commands = get_command(posestream.app).commands  # type: ignore[attr-defined]
    for call in calls(document):
        command, *words = shlex.split(call)
        assert command in commands, call
        known = options_of(commands[command]) | {"--help"}
        if command == "submit" and words and words[0] in commands:
            assert words[0] in SUBMITTED, call
            known |= options_of(commands[words[0]])
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, call
        if command in ("train", "evaluate") and words and re.fullmatch(r"[a-z0-9_]+", words[0]):
            assert words[0] in list_recipes(), call
            override(load_recipe(words[0]), [word for word in words if re.match(r"[a-z_.]+=", word)])


def test_a_command_that_does_not_exist_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nposestream train hrnet \\\n  optim.lr=1  # a comment\n```\nand `posestream frobnicate x`\n"
    )
    assert calls(page) == ["train hrnet optim.lr=1", "frobnicate x"]


def test_marks_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    norun = "<!-- norun: needs a cloud -->\n```bash\nls\n```\n\n"
    page.write_text(norun + "```text\nx\n```\n\n<!-- file: a.py -->\n\n````python\n````\n")
    assert blocks(page) == [
        Block("bash", "ls\n", "norun", "needs a cloud", 2),
        Block("text", "x\n", "", "", 6),
        Block("python", "", "file", "a.py", 12),
    ]
