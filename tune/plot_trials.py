"""How a trial is shown: its number, its place among the others, and its colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from tune.searched import Searched
from tune.trials import Trial, best_score, best_trial, ranked

WORST, MIDDLE, TOP = "#8b949e", "#5f93c0", "#2b7de0"
BEST, FAILED = "#e8710a", "#d62839"
# From -0.2 to 1.2: what failed, 0 to 1 for the others from the worst to the second best, the best.
SCALE = [
    [0.0, FAILED], [0.1, FAILED], [0.1, WORST], [0.5, MIDDLE], [0.9, TOP], [0.9, BEST], [1.0, BEST]
]  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A trial among the others.

    Attributes:
        number: counted from 1, in the order in which they began.
        score: its best value of the metric, None without one.
        rank: 0 the worst to 1 the best; of what failed, 0.
    """

    trial: Trial
    number: int
    score: float | None
    rank: float
    is_best: bool

    @property
    def shade(self) -> float:
        """Its place on SCALE."""
        if self.trial.status == "failed":
            return -0.2
        return 1.2 if self.is_best else self.rank

    @property
    def colour(self) -> str:
        if self.trial.status == "failed":
            return FAILED
        if self.is_best:
            return BEST
        half = self.rank * 2
        return _between(WORST, MIDDLE, half) if half < 1 else _between(MIDDLE, TOP, half - 1)

    @property
    def opacity(self) -> float:
        return 1.0 if self.is_best or self.trial.status == "failed" else 0.5 + 0.5 * self.rank


def shown_trials(trials: Sequence[Trial], searched: Searched) -> list[Shown]:
    """All of them, in the order given."""
    scores = [best_score(trial, searched.metric, searched.mode) for trial in trials]
    best = best_trial(trials, searched.metric, searched.mode)
    competing = [
        score for trial, score in zip(trials, scores, strict=True) if score is not None and trial.status != "failed"
    ]
    sign = 1 if searched.mode == "max" else -1
    found = []
    for number, (trial, score) in enumerate(zip(trials, scores, strict=True), start=1):
        worse = 0 if score is None or trial.status == "failed" else sum(sign * one < sign * score for one in competing)
        found.append(Shown(trial, number, score, worse / max(len(competing) - 1, 1), trial is best))
    return found


def best_first(shown: Sequence[Shown], searched: Searched) -> list[Shown]:
    """As `tune.trials.ranked` does."""
    by_id = {one.trial.id: one for one in shown}
    return [by_id[trial.id] for trial in ranked([one.trial for one in shown], searched.metric, searched.mode)]


def _between(first: str, second: str, share: float) -> str:
    """A mixture of two colours."""
    pairs = ((int(first[at : at + 2], 16), int(second[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one + (other - one) * share):02x}" for one, other in pairs)
