"""The report in a browser: it loads without complaint, asks for nothing, and does what its buttons and keys say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, open_browser
from made_evaluation import TRUTH, persons, write_evaluation_folder, write_mpii_folder

from evaluation.evaluation_folder import read_evaluations
from evaluation.report_page import report_page

EVIL = "</script><script>alert(1)</script><img src=https://example.com/x.png onerror=alert(2)>"
SHOWN = "[...document.querySelectorAll('.case')].filter(one => !one.hidden).map(one => one.dataset.name)"
VIEW = "document.querySelector('.stage .picture').getAttribute('viewBox').split(' ').map(Number)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    images = [
        {**image, "file_name": name} for image, name in zip(TRUTH["images"], ("b.jpg", EVIL, "a.jpg"), strict=True)
    ]
    truth: Any = {**TRUTH, "images": images, "annotations": persons()}
    one = write_evaluation_folder(folder / "one", truth=truth, notes=[EVIL], recipe={"optim": {"lr": 1}, "name": EVIL})
    two = write_evaluation_folder(folder / "two", truth=truth, ap=0.75, recipe={"optim": {"lr": 2}, "name": EVIL})
    mpii = write_mpii_folder(folder / "mpii")
    made = {}
    for name, places in {"one": [one], "two": [one, two], "mixed": [one, mpii]}.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(report_page(read_evaluations(places), {}), encoding="utf-8")
    return made


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", ["one", "two", "mixed"])
def test_nothing_is_complained_of_or_asked_for_and_the_page_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.open(pages[name], width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.click(".zoom")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert (browser.complaints, browser.requests) == ([], [pages[name].as_uri()])
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"
    )


def test_the_policy_is_in_force(browser: Browser, pages: dict[str, Path]) -> None:
    """So that an injected script or picture would do nothing, and this test's watch would see it."""
    browser.open(pages["one"])
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    browser.run("document.body.append(Object.assign(new Image(), {src: 'https://example.com/x.png'}))")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run("window.ran") is None
    assert len(browser.complaints) >= 2
    assert browser.run("fetch('https://example.com').then(() => 'sent', () => 'refused')") == "refused"


def test_pictures_are_filtered_and_sorted(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"])

    def choose(which: str, value: str) -> list[str]:
        browser.run(f"(s => {{ s.value = {json.dumps(value)}; s.dispatchEvent(new Event('change')); }})"
                    f"(document.getElementById('case-{which}'))")  # fmt: skip
        return browser.run(SHOWN)

    everything = browser.run(SHOWN)
    values = browser.run("[...document.querySelectorAll('.case')].map(one => Number(one.dataset.value))")
    assert values == sorted(values)
    assert len(set(values)) == 3
    assert choose("order", "-value") == everything[::-1]
    assert choose("order", "name") == sorted(everything, key=str.lower)
    assert choose("rank", "median") == [EVIL]
    assert browser.run("document.getElementById('shown-pictures').textContent") == "1 of 3 pictures"
    choose("rank", "")
    counts = browser.run("Object.fromEntries([...document.querySelectorAll('.case')].map("
                         "one => [one.dataset.name, JSON.parse(one.dataset.counts)]))")  # fmt: skip
    assert set(choose("error", "inversion")) == {name for name, own in counts.items() if own.get("inversion")}
    choose("error", "")
    most = choose("order", "count:inversion")
    assert [counts[name].get("inversion", 0) for name in most] == sorted(
        (own.get("inversion", 0) for own in counts.values()), reverse=True
    )


def test_what_is_drawn_is_switched(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"])
    for name, part in {
        "predicted": ".answer", "annotated": ".truth", "keypoints": ".keypoint", "errors": ".ring",
        "heatmap": ".heatmap", "boxes": ".box", "ids": ".id",
    }.items():  # fmt: skip
        shown = f"getComputedStyle(document.querySelector('.gallery {part}')).display !== 'none'"
        button = f".case-tools [data-toggle={name}]"
        pressed = f"document.querySelector('{button}').getAttribute('aria-pressed') === 'true'"
        before = browser.run(shown)
        assert browser.run(pressed) is before is (name not in ("heatmap", "boxes", "ids"))
        browser.click(button)
        assert browser.run(shown) is browser.run(pressed) is not before
        browser.click(button)
        assert browser.run(shown) is before


def test_a_closer_look_works_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two"])
    names = browser.run(SHOWN)
    browser.run("document.querySelector('.zoom').focus()")
    browser.press("Enter")
    name = "document.getElementById('closer-name').textContent"
    assert browser.run("document.getElementById('closer').open")
    assert browser.run("document.querySelectorAll('.stage .picture').length") == 2
    seen = [browser.run(name)]
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.press(key)
        seen.append(browser.run(name))
    assert seen == [*names, names[0], names[2]]
    whole = browser.run(VIEW)
    assert whole == [-0.5, -0.5, 320, 240]
    browser.press("+")
    near = browser.run(VIEW)
    assert near[2:] == pytest.approx([320 / 1.5, 240 / 1.5], abs=0.01)
    browser.press("ArrowRight", shift=True)
    assert browser.run(VIEW)[0] > near[0]
    boxes = browser.run("[...document.querySelectorAll('.stage .picture')].map(one => one.getAttribute('viewBox'))")
    assert len(boxes) == 2
    assert len(set(boxes)) == 1
    browser.press("0")
    assert browser.run(VIEW) == whole
    browser.press("h")
    assert browser.run("getComputedStyle(document.querySelector('.stage .heatmap')).display") != "none"
    browser.press("Escape")
    assert not browser.run("document.getElementById('closer').open")
    assert browser.run("document.activeElement.className") == "zoom"


def test_a_closer_look_works_by_mouse_and_fingers(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"])
    browser.click(".zoom")
    x, y, wide, high = browser.run("(r => [r.x, r.y, r.width, r.height])"
                                   "(document.querySelector('.stage .picture').getBoundingClientRect())")  # fmt: skip
    middle = (x + wide / 2, y + high / 2)
    browser.mouse("mouseWheel", *middle, deltaX=0, deltaY=-400)
    browser.run("new Promise(done => setTimeout(done, 100))")
    near = browser.run(VIEW)
    assert near[2] == pytest.approx(320 / 2.718, rel=0.02)
    browser.mouse("mousePressed", *middle)
    browser.mouse("mouseMoved", middle[0] - 60, middle[1], buttons=1)
    browser.mouse("mouseReleased", middle[0] - 60, middle[1])
    assert browser.run(VIEW)[0] > near[0] + 1
    before = browser.run(VIEW)[2]
    browser.touch("touchStart", (middle[0] - 20, middle[1]), (middle[0] + 20, middle[1]))
    for spread in (25, 32, 40):
        browser.touch("touchMove", (middle[0] - spread, middle[1]), (middle[0] + spread, middle[1]))
    browser.touch("touchEnd")
    assert browser.run(VIEW)[2] < 0.7 * before
    browser.click("#closer [data-act=close]")
    assert not browser.run("document.getElementById('closer').open")


def test_values_of_curves_are_told_by_mouse_and_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two"])
    browser.run("document.querySelector('.chart').focus()")
    browser.press("ArrowLeft")
    tip = "document.getElementById('tip').hidden ? '' : document.getElementById('tip').innerText"
    assert browser.run(tip).split("\n")[0] == "9500"
    assert [line.partition(":")[0] for line in browser.run(tip).split("\n")[1:]] == ["one", "two"]
    browser.press("Escape")
    assert browser.run(tip) == ""


def test_the_recipe_is_searched(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two"])
    browser.run("document.getElementById('settings').open = true")
    every = "[...document.querySelectorAll('#settings tbody tr')]"
    rows = every + ".filter(row => !row.hidden).map(row => row.cells[0].textContent)"
    assert browser.run(rows) == ["optim.lr", "name"]
    browser.click("#differing")
    assert browser.run(rows) == ["optim.lr"]
    browser.click("#differing")
    browser.click("#find-setting")
    for letter in "nam":
        browser.press(letter)
    assert browser.run(rows) == ["name"]


def test_light_and_dark_are_switched_and_kept(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"], dark=True)
    paper = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(paper) == "rgb(20, 23, 27)"
    browser.click("#theme")
    assert browser.run(paper) == "rgb(255, 255, 255)"
    for _ in range(20):  # what is to be kept goes through another process
        browser.open(pages["one"], dark=True)
        if (kept := browser.run(paper)) == "rgb(255, 255, 255)":
            break
    assert kept == "rgb(255, 255, 255)"
    browser.run("localStorage.clear()")
