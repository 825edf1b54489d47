"""The fenced blocks of a guide, and what the comments before them say of how they are tested.

<!-- norun: reason -->       commands that cannot run in a test: only checked to exist
<!-- run with: WORDS -->     run with these words added to each posestream command
<!-- exit: 3 -->             run, and ends with this status
<!-- prints -->              what the block before prints; numbers may differ
<!-- file: NAME -->          written to this file, in the page's scratch folder
<!-- starts with: WORDS -->  once in a page: what is in its scratch folder (see `scratch_folder.py`)
"""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "project")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+)(?:: (?P<words>[^\n]*?))? -->\n+)?"
    r"^(?P<fence>`{3,})(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.S | re.M,
)
_START = re.compile(r"^<!-- starts with: (.*?) -->$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` and `words` are of the comment before it, and empty without one."""

    language: str
    text: str
    mark: str
    words: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(
            found["language"].strip(),
            found["text"],
            found["mark"] or "",
            found["words"] or "",
            text.count("\n", 0, found.start("fence")) + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


def starts_with(page: Path) -> list[str]:
    """What a page's scratch folder holds before its first command."""
    found = _START.search(page.read_text())
    return found[1].split() if found else []


def is_run(block: Block) -> bool:
    return block.language in ("bash", "python") and block.mark not in ("norun", "file")


def command_lines(text: str) -> list[str]:
    """The commands of a block, a line each: continued lines joined, comments and empty lines left out."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (re.sub(r"\s+#\s.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
