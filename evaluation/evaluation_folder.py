"""What an evaluation has left on disk, as a report reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter

from evaluation.cases import Cases, read_cases
from evaluation.stored_diagnosis import StoredDiagnosis
from evaluation.stored_json import EvaluationFolderError, read_stored

METRICS, RECIPE, RESULTS = "metrics.json", "recipe.json", "results.json"
DIAGNOSIS, CURVES, TRAINING, CASES = "diagnosis.json", "curves.json", "training.json", "cases"


class Metrics(BaseModel):
    """metrics.json: scores by name, the headline one's name, notes; and facts, which are all its other texts."""

    model_config = ConfigDict(frozen=True, extra="allow")
    primary: str
    metrics: dict[str, FiniteFloat | None]
    notes: list[str] = []

    @property
    def facts(self) -> dict[str, str]:
        return {name: str(value) for name, value in (self.model_extra or {}).items()}

    @property
    def factor(self) -> int:
        """What makes percents of the scores: PCKh is stored in percent."""
        return 1 if self.primary.startswith("PCKh") else 100


@dataclass(frozen=True)
class Curves:
    """curves.json: percent per group of keypoints at each threshold."""

    kind: str
    thresholds: list[FiniteFloat]
    groups: dict[str, list[FiniteFloat | None]]


@dataclass(frozen=True)
class Training:
    """training.json: (step, value) by TensorBoard's name, and the verdict on the loader."""

    curves: dict[str, list[tuple[int, FiniteFloat | None]]]
    verdict: dict[str, FiniteFloat | str] | None = None


@dataclass(frozen=True)
class Evaluation:
    """All of a folder; what it does not hold is None. `name` tells it from the others of a report."""

    name: str
    folder: Path
    metrics: Metrics
    recipe: Mapping[str, Any] | None
    diagnosis: StoredDiagnosis | None
    curves: Curves | None
    training: Training | None
    cases: Cases | None


def read_evaluations(places: Sequence[Path]) -> list[Evaluation]:
    """Each of them once, in the order given, under different names. Raises EvaluationFolderError."""
    folders = list(dict.fromkeys(find_evaluation(place).resolve() for place in places))
    return [_read(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]


def find_evaluation(place: Path) -> Path:
    """The evaluation folder that is meant: it, or that of a run folder. Raises EvaluationFolderError."""
    if (place / METRICS).is_file():
        return place
    if (place / "evaluation" / METRICS).is_file():
        return place / "evaluation"
    found = sorted(path.parent for path in place.glob(f"evaluation-*/{METRICS}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise EvaluationFolderError(f"{place} holds several evaluations; name those you mean: {_listed(found)}")
    what = "holds no evaluation" if place.is_dir() else "is no folder"
    raise EvaluationFolderError(
        f"{place} {what}: expected {METRICS} in it, in its evaluation/ or its evaluation-*/; "
        "`posestream evaluate` writes it"
    )


def _read(folder: Path, name: str) -> Evaluation:
    metrics = read_stored(folder / METRICS, TypeAdapter(Metrics))
    assert metrics is not None
    curves = read_stored(folder / CURVES, TypeAdapter(Curves))
    if curves is not None and any(len(values) != len(curves.thresholds) for values in curves.groups.values()):
        raise EvaluationFolderError(f"{folder / CURVES} at groups: expected {len(curves.thresholds)} values in each")
    return Evaluation(
        name=name,
        folder=folder,
        metrics=metrics,
        recipe=read_stored(folder / RECIPE, TypeAdapter(dict[str, Any])),
        diagnosis=read_stored(folder / DIAGNOSIS, TypeAdapter(StoredDiagnosis)),
        curves=curves,
        training=read_stored(folder / TRAINING, TypeAdapter(Training)),
        cases=read_cases(folder / CASES),
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell them apart; evaluation/ of a run goes by the run's name."""
    parts = [folder.parts[:-1] if folder.name == "evaluation" else folder.parts for folder in folders]
    for count in range(1, max(map(len, parts), default=0)):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
