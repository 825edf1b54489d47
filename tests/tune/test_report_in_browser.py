"""The page of a report in a browser: figures appear, nothing is asked of the network, the table sorts and filters."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from browser import open_browser
from made_experiment import Made, write_search, write_trials
from rich.console import Console

from sharding.storage import open_folder
from tune.report import write_report

EVIL = "</script><script>alert(1)</script><img src=https://example.com/x.png onerror=alert(2)>"

_ACT = """(async () => {
  const seen = {};
  const trials = () => [...document.querySelectorAll('#trials tbody tr')].filter(row => !row.hidden);
  const order = () => trials().map(row => row.cells[1].textContent);
  const heads = () => [...document.querySelectorAll('#trials th button')];
  const click = name => heads().find(one => one.textContent === name).click();
  seen.first = order();
  click('AP'); seen.ascending = order();
  click('AP'); seen.descending = order();
  click('optim.name'); seen.words = order();
  click('#');
  await Plotly.restyle('parallel', {'dimensions[0].constraintrange': [[[-3.5, -2.5]]]}, [0]);
  seen.picked = order(); seen.said = document.getElementById('picked').textContent;
  await Plotly.restyle('parallel', {'dimensions[0].constraintrange': [null]}, [0]);
  seen.let_go = order();
  seen.figures = [...document.querySelectorAll('.js-plotly-plot')].map(one => one.id);
  seen.axes = document.querySelectorAll('#parallel .y-axis').length;
  seen.curves = document.querySelectorAll('#curve-metric .scatterlayer path.js-line').length;
  seen.buttons = [...new Set([...document.querySelectorAll('.modebar-btn')].map(one => one.dataset.title))];
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  return seen;
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a search whose texts are hostile."""
    folder = tmp_path_factory.mktemp("browser") / "lr"
    write_search(folder)
    write_trials(
        folder,
        Made("aa", (0.1, 0.2, 0.3, 0.2), {"optim.lr": 1e-2}, start=1),
        Made("bb", (0.2, 0.5, 0.45, 0.4), {"optim.lr": 1e-3, "optim.name": "adamw"}, start=2),
        Made("cc", (0.1,), {"optim.name": EVIL, "optim.lr": 1e-5}, stopped=True, start=3),
        Made("dd", (0.09,), {"optim.lr": 2e-3}, failure=EVIL, start=4),
        Made("ee", (), status="RUNNING", start=5),
    )
    return write_report(open_folder(folder), None, Console(file=StringIO())).page


def visit(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """What a browser sees on the page, what the page complains of and what it asks for."""
    with open_browser(folder / "profile") as browser:
        browser.open(page, width)
        return browser.run(_ACT) | {"complaints": browser.complaints, "requests": browser.requests}


@pytest.fixture(scope="module")
def seen(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return visit(page, tmp_path_factory.mktemp("visit"), 1280)


def test_nothing_goes_wrong_and_nothing_is_asked_for(seen: dict[str, Any], page: Path) -> None:
    assert (seen["complaints"], seen["requests"]) == ([], [page.as_uri()])


def test_figures_appear(seen: dict[str, Any]) -> None:
    assert seen["figures"] == ["history", "parallel", "slice-0", "slice-1", "slice-2", "curve-metric", "curve-loss"]
    assert seen["axes"] == 4
    assert seen["curves"] >= 4


def test_no_button_uploads(seen: dict[str, Any]) -> None:
    assert set(seen["buttons"]) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}


def test_sorting_keeps_what_has_no_value_at_the_end(seen: dict[str, Any]) -> None:
    assert seen["first"] == ["bb", "aa", "cc", "dd", "ee"]
    assert seen["ascending"] == ["dd", "cc", "aa", "bb", "ee"]
    assert seen["descending"] == ["bb", "aa", "cc", "dd", "ee"]
    assert seen["words"][0] == "cc"


def test_picking_on_an_axis_filters_the_table(seen: dict[str, Any]) -> None:
    assert seen["picked"] == ["bb", "dd", "ee"]
    assert seen["said"].startswith("3 of 5")
    assert seen["let_go"] == ["aa", "bb", "cc", "dd", "ee"]


def test_on_a_phone_only_tables_and_parallel_axes_scroll(page: Path, tmp_path: Path) -> None:
    seen = visit(page, tmp_path, 500)
    assert (seen["wide"], seen["complaints"]) == (False, [])
