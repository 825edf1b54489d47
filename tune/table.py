"""A paper's table as data: rows as they are printed, the training behind each row, the metric behind each column."""

from dataclasses import dataclass
from typing import Literal

from models.paper_costs import Unit

Cell = str | float | bool | None
_KEYPOINTS = {"coco": 17, "mpii": 16, "crowdpose": 14}


@dataclass(frozen=True)
class Column:
    """A column of the paper.

    Attributes:
        name: as in the paper.
        kind: a "label" tells rows apart; a "score" is measured; "params" (millions) and "macs" are counted.
        metric: of a score, as the benchmark's evaluator calls it.
        test: settings with which this column alone is evaluated, as dotted `key=value`.
        plotted: whether the plot has a panel for it.
    """

    name: str
    kind: Literal["label", "score", "params", "macs"] = "label"
    metric: str = ""
    test: tuple[str, ...] = ()
    plotted: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the paper. Rows with the same recipe and changes share their trainings.

    Attributes:
        cells: one for each column, as printed; None where the paper prints nothing.
        recipe: its name; None for a result that the paper cites and that has no recipe here.
        changes: of the recipe, as dotted `key=value`. test: the same, for the evaluation only.
        detector: whose boxes the row is about, where that is what the table compares.
        why_not: why a row without a recipe cannot be run.
    """

    cells: tuple[Cell, ...]
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    detector: str | None = None
    why_not: str | None = None


@dataclass(frozen=True)
class Table:
    """A paper's table.

    Attributes:
        paper, number, title: of the table. dataset: benchmark and split that it is measured on, e.g. "coco-val2017".
        columns, rows: in the paper's order.
        unit: what the paper's "GFLOPs" count, whose transposed convolutions are dense.
        plugin_alone: its "Params" and "GFLOPs" are those of the plug-in.
        notes: what one must know to compare with the paper.
    """

    paper: str
    number: str
    title: str
    dataset: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    unit: Unit = "1e9"
    plugin_alone: bool = False
    notes: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.name}: {row.cells} are {len(row.cells)} cells of {len(self.columns)} columns")

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.paper}-{self.number.lower()}"

    @property
    def benchmark(self) -> str:
        """coco, mpii or crowdpose."""
        return self.dataset.partition("-")[0]

    @property
    def num_keypoints(self) -> int:
        return _KEYPOINTS[self.benchmark]

    @property
    def factor(self) -> float:
        """From the evaluator's metric to the paper's percent."""
        return 1.0 if self.benchmark == "mpii" else 100.0

    def columns_of(self, *kinds: str) -> tuple[tuple[int, Column], ...]:
        """Columns of these kinds, with their places."""
        return tuple((place, column) for place, column in enumerate(self.columns) if column.kind in kinds)

    def label(self, row: Row) -> str:
        """The row's label cells in a line; a tick is written as its column's name."""
        words = [_word(column.name, row.cells[place]) for place, column in self.columns_of("label")]
        return ", ".join(filter(None, words)) or "baseline"


def labels(*names: str) -> tuple[Column, ...]:
    """Label columns."""
    return tuple(Column(name) for name in names)


def scores(metrics: dict[str, str], *plotted: str) -> tuple[Column, ...]:
    """Score columns: paper's name → evaluator's name."""
    return tuple(Column(name, "score", metric, plotted=name in plotted) for name, metric in metrics.items())


COSTS = (Column("Params (M)", "params"), Column("GFLOPs", "macs"))

_COCO = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
_PCKH = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")


def coco_scores(*names: str) -> tuple[Column, ...]:
    """Score columns of COCO's metrics, all ten by default; AP is plotted."""
    return scores({name: name for name in names or _COCO}, "AP")


def pckh_scores(threshold: float) -> tuple[Column, ...]:
    """Score columns of MPII's keypoints, and their mean, which is plotted."""
    return scores({name: f"PCKh@{threshold}/{name}" for name in _PCKH}, "Mean")


def _word(name: str, cell: Cell) -> str:
    if cell is None or cell is False:
        return ""
    if cell is True:
        return name
    return cell if isinstance(cell, str) else f"{name} {cell:g}"
