"""The report page: complete in itself, and harmless whatever the data says."""

import base64
import re
from html.parser import HTMLParser

import pytest

from evaluation.report import report_html
from evaluation.score import Score

EVIL = "<img src=x onerror=alert(1)>.jpg"
QUOTED = "\" onload='alert(2)' x=\".jpg"
JPEG = b"\xff\xd8\xff\xe0 not really"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def score(notes: list[str], **metrics: float) -> Score:
    return Score(metrics or {"AP": 0.5, "AR": 0.625}, "AP", [], notes)


@pytest.fixture
def hostile() -> str:
    return report_html(
        EVIL,
        {EVIL: score([EVIL, QUOTED]), QUOTED: score([EVIL])},
        {EVIL: EVIL, QUOTED: QUOTED},
        [(EVIL, JPEG, JPEG + b"2"), (QUOTED, JPEG, JPEG)],
    )


def test_every_text_from_outside_is_escaped(hostile: str) -> None:
    page = Page(hostile)
    assert {tag for tag, _ in page.tags} == {
        "html", "meta", "title", "style", "h1", "table", "thead", "tbody", "tr", "th", "td", "p", "figure", "div",
        "img", "figcaption",
    }  # fmt: skip
    assert len(page.images()) == 4
    for attributes in page.images():
        assert attributes.keys() == {"src", "alt"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    texts = "".join(page.texts)
    assert EVIL in texts
    assert QUOTED in texts
    # title, heading, row, note, caption, and fact twice; nothing of them is markup
    assert texts.count(EVIL) == 7
    assert "<img src=x" not in hostile


def test_the_page_needs_nothing_else(hostile: str) -> None:
    page = Page(hostile)
    assert not re.search(r"https?:|file:|//[a-z]|url\(|@import|<script|<link|<iframe", hostile)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            if name in attributes:
                assert tag == "img"
                assert (attributes[name] or "").startswith("data:image/jpeg;base64,")


def test_pictures_are_embedded_in_pairs_with_their_names() -> None:
    page = Page(report_html("t", {"a": score([])}, {}, [("one.jpg", b"AAAA", b"BBBB"), ("two.jpg", b"CC", b"DD")]))
    data = [base64.b64decode((image["src"] or "").partition(",")[2]) for image in page.images()]
    assert data == [b"AAAA", b"BBBB", b"CC", b"DD"]
    assert [image["alt"] for image in page.images()] == [
        "annotated: one.jpg", "predicted: one.jpg", "annotated: two.jpg", "predicted: two.jpg",
    ]  # fmt: skip


def test_scores_facts_and_notes_are_on_the_page_once() -> None:
    text = report_html("t", {"a": score(["same"]), "b": score(["same", "other"], AP=0.1, AR=-1.0)}, {"k": "v"}, [])
    assert re.findall(r"<td>([^<]*)</td>", text) == ["a", "50.0", "62.5", "b", "10.0", "–", "k", "v"]
    assert re.findall(r"<p class=quiet>([^<]*)</p>", text) == ["same", "other"]
    assert "<th></th><th>AP</th><th>AR</th>" in text


def test_the_page_is_well_formed_and_declares_its_encoding() -> None:
    text = report_html("größe", {"a": score([])}, {"k": "ü"}, [])
    assert text.startswith("<!doctype html>")
    page = Page(text)
    assert page.open == []
    assert ("meta", {"charset": "utf-8"}) in page.tags


def test_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one named score"):
        report_html("t", {}, {}, [])
