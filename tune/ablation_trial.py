"""What an ablation does with one training: train, learn to score if a test asks for it, evaluate in every way."""

import shutil
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from engine.config import Recipe, override
from engine.evaluate import evaluate_weights
from engine.scorer import learn_scoring, ranks_by_network, scorer_path
from engine.train import train
from engine.trained import OwnWeights
from sharding.storage import Folder, open_folder
from sharding.store_uri import child
from tune.table_plan import Test, Training
from tune.table_results import TrainingScores, read_scores, write_scores

RUNS = "runs"


def is_finished(training: Training, scores: TrainingScores | None) -> bool:
    """Whether nothing is left to do."""
    return scores is not None and all(test in scores.tests for test in training.tests)


def train_and_score(training: Training, out: str, console: Console, keep: bool = True) -> TrainingScores:
    """Do what is left of a training and its tests; every test is stored at once.

    The last checkpoint is what is evaluated: the best one would have been chosen on the split that it is scored on.

    Args:
        out: URI of the ablation. keep: leave the run folder where it is when all is done.
    """
    folder = open_folder(out)
    scores = read_scores(folder, training.id) or TrainingScores()
    if is_finished(training, scores):
        return scores
    recipe = override(training.recipe, [f"run_dir={child(out, f'{RUNS}/{training.id}')}"])
    result = train(override(recipe, ["data.val=none"]), console)
    scores = replace(scores, failed=None, seconds=round(result.seconds, 1))
    for test in training.tests:
        if test not in scores.tests:
            scores = _with_test(scores, test, override(recipe, test), OwnWeights(result.last), console)
            write_scores(folder, training.id, scores)
    if not keep:
        shutil.rmtree(result.last.parent, ignore_errors=True)
        folder.delete_folder(f"{RUNS}/{training.id}")
    return scores


def record_failure(training: Training, folder: Folder, reason: str) -> None:
    """Keep what is there of its tests."""
    scores = read_scores(folder, training.id) or TrainingScores()
    write_scores(folder, training.id, replace(scores, failed=" ".join(reason.split())))


def _with_test(
    scores: TrainingScores, test: Test, recipe: Recipe, weights: OwnWeights, console: Console
) -> TrainingScores:
    if ranks_by_network(recipe) and not scorer_path(Path(weights.path)).exists():
        learn_scoring(recipe, weights, console)
    score = evaluate_weights(recipe, weights, console).score
    notes = tuple(dict.fromkeys((*scores.notes, *score.notes)))
    return replace(scores, tests=scores.tests | {test: dict(score.metrics)}, notes=notes)
