"""A report of a search: its best recipe, its page's contents, and what it refuses."""

import random
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from made_experiment import SEARCH, Made, write_search, write_trials
from object_store.store import ObjectStore
from rich.console import Console

from engine.config import leaves
from recipes import load_recipe
from sharding.storage import open_folder
from tune.distributions import Uniform
from tune.plot_axes import choice_axis, number_axis, rounded
from tune.plot_trials import BEST, FAILED, shown_trials
from tune.plots import history, learning_curves, slice_of
from tune.report import PAGE, RECIPE, Report, write_report
from tune.report_importance import FEWEST_TRIALS, importances
from tune.report_table import duration
from tune.searched import ReportError, distribution_text, read_searched
from tune.trials import Trial, read_trials

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A search with a trial of each kind."""
    folder = tmp_path / "lr"
    write_search(folder)
    write_trials(
        folder,
        Made("aa", (0.1, 0.2, 0.3, 0.2), {"optim.lr": 3e-4}, start=1),
        Made("bb", (0.2, 0.5, 0.45, 0.4), {"optim.lr": 1.25e-3, "optim.name": "adamw"}, start=2),
        Made("cc", (0.1,), stopped=True, start=3),
        Made("dd", (0.9,), failure="the loss is nan", start=4),
        Made("ee", (), status="RUNNING", start=5),
    )
    return folder


def report(folder: Path, out: Path | None = None) -> tuple[Report, str]:
    """The report, and what was printed."""
    screen = StringIO()
    return write_report(open_folder(folder), out, Console(file=screen, width=140)), screen.getvalue()


def test_best_recipe_is_the_base_with_the_best_settings(folder: Path) -> None:
    written, _ = report(folder)
    assert written.recipe == folder / RECIPE
    best, base = leaves(load_recipe(str(folder / RECIPE))), leaves(read_searched(open_folder(folder)).base)
    assert {name: value for name, value in best.items() if value != base[name]} == {
        "name": "lr-best",
        "run_dir": "runs/lr-best",  # the search's own trials are not resumed
        "optim.lr": 1.25e-3,
        "optim.name": "adamw",
        "optim.milestones": [2, 3],
    }


def test_screen_shows_the_best_first_and_never_a_failed_one_as_best(folder: Path) -> None:
    lines = report(folder)[1].splitlines()
    order = [line.split()[0] for line in lines if line.strip() and line.split()[0] in ("aa", "bb", "cc", "dd", "ee")]
    assert order == ["bb", "aa", "cc", "dd", "ee"]


def test_page_without_a_script(folder: Path) -> None:
    page = Tables()
    page.feed(report(folder)[0].page.read_text())
    settings, trials = page.tables
    assert settings[1] == ["optim.lr", "0.00125", "0.002", "1e-05 … 0.1, logarithmic"]
    assert settings[3] == ["optim.milestones", "[2, 3]", "[1]", "[1] | [2, 3]"]
    assert [row[1] for row in trials[1:]] == ["bb", "aa", "cc", "dd", "ee"]
    assert trials[0] == [
        "#", "trial", "status", "AP", "loss", *SEARCH, "epochs", "time", "samples/s", "checkpoint",
    ]  # fmt: skip
    assert trials[1] == [
        "2", "bb", "finished", "0.5", "0.25", "0.00125", "adamw", "[2, 3]", "4", "8 s", "50",
        "bb/checkpoint_000002/last.ckpt",
    ]  # fmt: skip
    assert trials[4][:4] == ["4", "dd", "failedthe loss is nan", "0.9"]
    assert trials[5][2:5] == ["running", "–", "–"]
    assert "5 of 8 trials began: 2 finished, 1 stopped, 1 failed, 1 running" in page.text
    assert f"tensorboard --logdir {folder}" in page.text
    assert f"posestream train {folder / RECIPE}" in page.text


def test_a_search_that_has_just_begun(tmp_path: Path) -> None:
    write_search(tmp_path / "none")
    written, _ = report(tmp_path / "none")
    assert written.recipe is None
    assert "no best settings yet" in written.notes[0]
    assert "0 of 8 trials began" in written.page.read_text()


def test_settings_that_this_version_refuses_leave_a_page(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (0.1,), {"optim.name": "sgd"}))
    written, _ = report(tmp_path)
    assert written.recipe is None
    assert "optim.name" in written.notes[0]
    assert written.page.exists()


def test_texts_of_the_data_are_escaped(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(
        tmp_path,
        Made("one", (0.1,), {"optim.name": EVIL}, failure=EVIL),
        Made("<img src=x onerror=alert(1)>", (0.2,)),
    )
    text = report(tmp_path)[0].page.read_text()
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text
    assert text.count("</script>") == 3  # plotly, the figures, and the page's own


def test_page_is_one_file_that_asks_for_nothing(folder: Path) -> None:
    text = report(folder)[0].page.read_text()
    assert text.count("plotly.js v") == 1
    assert " src=" not in text.split("<script>")[0]
    assert "default-src 'none'" in text
    assert sorted(path.name for path in folder.iterdir() if path.suffix in (".html", ".js", ".css")) == [PAGE]


def test_what_is_no_search(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"holds no search\.json"):
        report(tmp_path)
    (tmp_path / "search.json").write_text('{"metric": "AP"')
    with pytest.raises(ReportError, match="is not JSON"):
        report(tmp_path)
    (tmp_path / "search.json").write_text('{"metric": "AP", "mode": "max"}')
    with pytest.raises(ReportError, match="recipe, search, base"):
        report(tmp_path)


def test_of_a_store_into_a_folder(
    folder: Path, tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = object_store.put_folder(folder, "runs/lr")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert write_report(open_folder(uri), None, Console(file=StringIO())).page == Path("runs/lr-report/report.html")
    written = write_report(open_folder(uri), tmp_path / "out", Console(file=StringIO()))
    assert written.recipe == tmp_path / "out" / RECIPE
    assert load_recipe(str(written.recipe)).name == "lr-best"
    page = Tables()
    page.feed(written.page.read_text())
    assert page.tables[1][1][-1] == "bb/checkpoint_000002/last.ckpt"


def planted(folder: Path, count: int) -> list[Trial]:
    """Trials whose score is decided by optim.lr alone."""
    draw = random.Random(0)
    write_search(
        folder, {"optim.lr": SEARCH["optim.lr"], "optim.gamma": Uniform(0.1, 0.9), "optim.name": SEARCH["optim.name"]}
    )
    trials = []
    for number in range(count):
        exponent = draw.uniform(-5, -1)
        settings = {
            "optim.lr": 10**exponent,
            "optim.gamma": draw.uniform(0.1, 0.9),
            "optim.name": draw.choice(["adam", "adamw"]),
        }
        trials.append(Made(f"{number:03d}", (1 - (exponent + 3) ** 2 / 5,), settings, stopped=True))
    write_trials(folder, *trials)
    return read_trials(open_folder(folder))


def test_importance_finds_the_setting_that_decides(tmp_path: Path) -> None:
    trials = planted(tmp_path, 40)
    shares = importances(trials, read_searched(open_folder(tmp_path)))
    assert next(iter(shares)) == "optim.lr"
    assert shares["optim.lr"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)


def test_importance_of_too_few_trials_is_not_told(tmp_path: Path) -> None:
    trials = planted(tmp_path, FEWEST_TRIALS - 1)
    assert importances(trials, read_searched(open_folder(tmp_path))) == {}
    assert f"it takes {FEWEST_TRIALS}" in report(tmp_path)[0].page.read_text()


def test_a_trial_has_one_colour_in_all_figures(folder: Path) -> None:
    searched = read_searched(open_folder(folder))
    shown = shown_trials(read_trials(open_folder(folder)), searched)
    colours = {one.trial.id: one.colour for one in shown}
    assert (colours["bb"], colours["dd"]) == (BEST, FAILED)
    assert len(set(colours.values())) == 4  # without any value is as grey as the worst
    points = next(trace for trace in history(shown, searched).data if trace.mode == "markers" and trace.text)
    assert list(points.marker.color) == [colours[name] for name in ("aa", "bb", "cc", "dd")]
    over_lr = slice_of("optim.lr", shown, searched).data[0]
    assert list(over_lr.marker.color) == list(points.marker.color)
    curves = [trace for trace in learning_curves("AP", "AP", shown).data if trace.hovertemplate]
    assert {trace.line.color for trace in curves} == {colours[name] for name in ("aa", "bb", "cc", "dd")}
    assert {trace.line.color: trace.line.dash for trace in curves}[colours["cc"]] == "dot"


def test_best_so_far_counts_no_failed_trial(folder: Path) -> None:
    searched = read_searched(open_folder(folder))
    line = history(shown_trials(read_trials(open_folder(folder)), searched), searched).data[0]
    assert (list(line.x), list(line.y)) == ([1, 2, 3, 4], [0.3, 0.5, 0.5, 0.5])


def test_axes() -> None:
    log = number_axis([1e-5, 1e-1], log=True)
    assert log.labels == ("1e-05", "0.0001", "0.001", "0.01", "0.1")
    assert log.position(1e-3) == pytest.approx(-3)
    assert log.position(0) is None
    assert number_axis([0.2, 0.5], log=True).labels == ("0.2", "0.5")
    assert number_axis([0, 80]).labels == ("0", "20", "40", "60", "80")
    assert number_axis([3, 3]).position(3) == 3
    around = rounded(number_axis([0.13, 0.72]))
    assert (around.low, around.high) == pytest.approx((0, 0.8))
    assert choice_axis([64, 128, 64, None, "a"]).labels == ("64", "128", "null", "a")


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        ({"kind": "LogUniform", "low": 1e-4, "high": 0.1}, "0.0001 … 0.1, logarithmic"),
        ({"kind": "Uniform", "low": 0, "high": 1, "step": 0.25}, "0 … 1, steps of 0.25"),
        ({"kind": "IntUniform", "low": 8, "high": 64, "step": 1, "log": True}, "8 … 64, whole, logarithmic"),
        ({"kind": "Choice", "values": [64, "adam", None]}, "64 | adam | null"),
        ({"kind": "Odd"}, "Odd"),
    ],
)
def test_distributions_in_words(distribution: dict, text: str) -> None:
    assert distribution_text(distribution) == text


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0, 2.34, 12.3, 720, 12240)] == ["0 s", "2.3 s", "12 s", "12 min", "3.4 h"]


class Tables(HTMLParser):
    """`tables`: of rows of cells' texts. `text`: all of the page outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data
            if {"td", "th"} & set(self._open):
                self.tables[-1][-1][-1] += data
