"""Files outside docs/ as pages of the site. In docs/ a page of a line stands for each, so that GitHub shows a link."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PAGES = {
    "project/benchmarks": "benchmarks/README.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/changelog": "CHANGELOG.md",
}
_HEADING_WITH_LINKS = re.compile(r"^(#+ .*?) \((\[.*\]\(.*\))\)$", re.M)
_LINK = re.compile(r"\]\(([^)#:]+)((?:#[^)]*)?)\)")


def inside(page: str, text: str, folder: Path) -> str:
    """The text of a page, with links to files that are pages leading there.

    Args:
        page: its name, such as "project/changelog".
        folder: that its relative links start from.
    """
    here = (ROOT / "docs" / page).parent
    pages = {(ROOT / path).resolve(): ROOT / "docs" / f"{name}.md" for name, path in PAGES.items()}

    def moved(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        return f"]({_relative(pages.get(target, target), here)}{link[2]})"

    below = _HEADING_WITH_LINKS.sub(r"\1\n\n\2", text)  # Sphinx cannot build a table of contents with links to files
    return _LINK.sub(moved, below)


def _relative(target: Path, here: Path) -> str:
    return Path(os.path.relpath(target, here)).as_posix()


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    outside = PAGES.get(page)
    if outside is None:
        source[0] = inside(page, source[0], (ROOT / "docs" / page).parent)
        return
    app.env.note_dependency(str(ROOT / outside))
    source[0] = inside(page, (ROOT / outside).read_text(), (ROOT / outside).parent)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
