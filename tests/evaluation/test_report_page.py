"""The report page: complete in itself, of what there is, and harmless whatever the data says."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_evaluation import TRUTH, persons, write_evaluation_folder, write_mpii_folder

from evaluation.evaluation_folder import read_evaluations
from evaluation.report_expected import ExpectedScore, counterpart
from evaluation.report_page import report_page

EVIL = (
    "</script></style></title>--><img src=x onerror=alert(1)><svg onload=alert(2)>' onfocus='alert(3)\" x=\"😀\u202egpj"
)
EXPECTED = {
    "hrnet_w32_coco_256x192": [ExpectedScore("hrnet_w32_coco_256x192", "AP", (74.4,), "AP on val2017", "table 4")]
}
VOID = {"meta", "input", "wbr", "br", "img"}


class Page(HTMLParser):
    """Tags with their attributes, and the texts; it fails where elements do not close."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def ids(self) -> set[str | None]:
        return {attributes.get("id") for tag, attributes in self.tags if tag == "section"}


def page_of(*folders: Path, expected: Any = EXPECTED) -> str:
    return report_page(read_evaluations(folders), expected)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    truth = {**TRUTH, "images": [{**image, "file_name": EVIL} for image in TRUTH["images"]], "annotations": persons()}
    folder = write_evaluation_folder(
        tmp_path_factory.mktemp("hostile") / "<b>run" / "evaluation", truth=truth, notes=[EVIL], facts={EVIL: EVIL},
        recipe={EVIL: {EVIL: EVIL}},
    )  # fmt: skip
    training = json.loads((folder / "training.json").read_text())
    training["curves"][EVIL] = [[1, 0.5], [2, 0.4]]
    (folder / "training.json").write_text(json.dumps({**training, "verdict": {"limit": EVIL}}))
    diagnosis = json.loads((folder / "diagnosis.json").read_text())
    diagnosis["costs"][0]["label"] = diagnosis["sensitivity"][0]["note"] = EVIL
    diagnosis["errors"]["keypoints"][0]["name"] = EVIL
    (folder / "diagnosis.json").write_text(json.dumps(diagnosis))
    cases = json.loads((folder / "cases" / "cases.json").read_text())
    cases["cases"][0] |= {"rank": EVIL, "counts": {EVIL: 2}}
    cases["cases"][0]["persons"][0]["kind"] = EVIL
    (folder / "cases" / "cases.json").write_text(json.dumps(cases))
    return page_of(folder)


def test_every_text_from_outside_is_text(hostile: str) -> None:
    page = Page(hostile)
    assert not {"img", "b>run", "iframe", "object", "link"} & {tag for tag, _ in page.tags}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert "<img" not in hostile
    for place in ("<b>run", EVIL):
        assert place in "".join(page.texts)
    assert "".join(page.texts).count(EVIL) > 10


def test_the_page_needs_nothing_else(hostile: str) -> None:
    assert not re.search(r"https?:|file:|//[a-z]+\.|url\(|@import", hostile)
    for tag, attributes in Page(hostile).tags:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:image/")), (tag, target)


def test_its_policy_allows_its_own_script_only(hostile: str) -> None:
    (policy,) = (
        attributes["content"]
        for tag, attributes in Page(hostile).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_scores_stand_beside_the_published_ones(tmp_path: Path) -> None:
    page = Page(page_of(write_evaluation_folder(tmp_path / "run")))
    assert "71.2 AP published 74.4 (−3.2) AP on val2017; table 4" in page.text
    assert "AP50 90.3" in page.text
    assert "ARL –" in page.text  # which COCO's tools call -1
    other = Page(page_of(tmp_path / "run", expected={}))
    assert "No published score is known" in other.text


def test_the_published_score_is_that_of_the_way_it_was_tested() -> None:
    scales = [ExpectedScore("r", "AP", (), "", ""), ExpectedScore("r", "AP", (67.8, 70.7), "", "")]
    qualities = [ExpectedScore("r", "AP", (59.6, 71.3, 64.5), "", "")]

    def number(rows: list[ExpectedScore], recipe: Any) -> float:
        found = counterpart(rows, recipe)
        assert found is not None
        return found[0]

    assert number(scales, None) == 67.8
    assert number(scales, {"bottomup": {"test": {"scales": [0.5, 1, 2]}}}) == 70.7
    assert number(qualities, {"bottomup": None}) == 64.5
    assert number(qualities, {"bottomup": {"grouping": {"quality": "regression"}}}) == 59.6
    assert counterpart(scales[:1], None) is None


def test_what_a_folder_lacks_is_said(tmp_path: Path) -> None:
    folder = write_evaluation_folder(tmp_path / "run")
    for name in ("diagnosis.json", "training.json", "recipe.json", "cases/cases.json"):
        (folder / name).unlink()
    page = Page(page_of(folder))
    for said in ("No diagnosis", "No learning curves", "No recipe", "No pictures", "No verdict"):
        assert said in page.text
    assert "pckh" not in page.ids()


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    first = write_evaluation_folder(tmp_path / "one")
    second = write_evaluation_folder(tmp_path / "two", ap=0.75, recipe={"optim": {"lr": 5e-4}})
    bare = write_evaluation_folder(tmp_path / "bare")
    (bare / "training.json").unlink()
    text = page_of(first, second, bare)
    page = Page(text)
    assert "AP 71.2 75.0 +3.8" in page.text
    assert "Not here, for want of training.json : bare ." in page.text
    assert text.count("data:image/jpeg") == 3  # the same picture of three runs is there once
    assert text.count('class="panes both"') == 3
    assert "differ" in page.text


def test_runs_on_different_data_are_marked(tmp_path: Path) -> None:
    one = write_evaluation_folder(tmp_path / "one")
    same = write_evaluation_folder(tmp_path / "same")
    other = write_evaluation_folder(tmp_path / "other", facts={"dataset digest": "77" * 24, "split": "/data/elsewhere"})
    assert "different data" not in page_of(one, same)
    page = page_of(one, same, other)
    assert "different data" in page
    assert "/data/coco/val2017 · /data/elsewhere" in re.sub("<[^>]+>", "", page)


def test_curves_of_several_runs_share_their_charts(tmp_path: Path) -> None:
    text = page_of(write_mpii_folder(tmp_path / "a"), write_mpii_folder(tmp_path / "b", 1.5), expected={})
    names = [attributes.get("data-name") for tag, attributes in Page(text).tags if tag == "path"]
    assert names.count("a") == names.count("b") == 8
    page = Page(text)
    assert "diagnosis" not in page.ids()
    assert "PCKh@0.5 90.1 91.6 +1.5" in page.text
    assert "PCKh@0.5/Mean" not in page.text


def test_values_that_are_no_numbers_leave_gaps_and_one_value_is_a_point(tmp_path: Path) -> None:
    folder = write_mpii_folder(tmp_path / "a")
    curves = {"train/loss": [[1, 5.0], [2, None], [3, 1e-3]], "val/PCKh@0.5": [[3, 50.0]], "train/x": [[1, None]]}
    (folder / "training.json").write_text(json.dumps({"curves": curves}))
    tags = Page(page_of(folder, expected={})).tags
    paths = [attributes["d"] for tag, attributes in tags if tag == "path" and "data-name" in attributes]
    assert sum(path.count("M") == 2 and "L" not in path for path in paths if path) == 1
    assert sum(tag == "circle" for tag, _ in tags) == 1


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one evaluation"):
        report_page([], {})
