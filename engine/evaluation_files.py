"""What an evaluation leaves on disk: scores, answers, diagnosis, pictures, and the report of all of it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from engine.evaluate import Evaluated
from engine.evaluation_cases import write_evaluation_cases
from engine.evaluation_facts import evaluation_facts
from engine.judged_pictures import judge_by_diagnosis, judge_by_distance
from engine.learning_curves import VerdictFileError, training_record
from evaluation.diagnosis import Diagnosis, diagnose
from evaluation.evaluation_folder import CASES, CURVES, DIAGNOSIS, METRICS, RECIPE, TRAINING
from evaluation.mpii import write_pred_mat
from evaluation.pckh_curves import mpii_curves
from sharding.ground_truth import ground_truth


def write_evaluation(evaluated: Evaluated, out: Path) -> Diagnosis | None:
    """Write an evaluation folder: metrics.json, recipe.json, results.json in the benchmark's submission layout,
    diagnosis.json or for MPII curves.json and the pred.mat that the field's scripts read, training.json, cases/.

    metrics.json goes first and comes last of all but the pictures: a folder that has it is of one evaluation.

    Returns:
        what diagnosis.json holds.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / METRICS).unlink(missing_ok=True)
    for name in (DIAGNOSIS, CURVES, TRAINING):  # of an evaluation before
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / CASES, ignore_errors=True)
    dataset, results, truth = evaluated.dataset, evaluated.score.results, ground_truth(evaluated.dataset)
    diagnosis = None
    if dataset.manifest.dataset == "mpii":
        write_pred_mat(out / "pred.mat", truth, evaluated.predictions)
        _write_json(out / CURVES, mpii_curves(truth, evaluated.predictions))
        judged = judge_by_distance(truth, evaluated.predictions)
    else:
        diagnosis = diagnose(truth, results, dataset.skeleton, dataset.manifest.dataset)
        _write_json(out / DIAGNOSIS, diagnosis.to_json())
        judged = judge_by_diagnosis(truth, results, diagnosis)
    (out / RECIPE).write_text(evaluated.recipe.to_json() + "\n", encoding="utf-8")
    _write_json(out / "results.json", results, indent=None)
    _write_training(evaluated, out / TRAINING)
    _write_metrics(evaluated, out / METRICS)
    write_evaluation_cases(evaluated, truth, judged, out / CASES)
    return diagnosis


def _write_training(evaluated: Evaluated, path: Path) -> None:
    """A damaged verdict does not cost the evaluation, which notes it."""
    if evaluated.run_dir is None:
        return
    try:
        training = training_record(evaluated.run_dir)
    except VerdictFileError as error:
        evaluated.score.notes.append(f"no learning curves: {error}")
        return
    if training is not None:
        _write_json(path, training)


def _write_metrics(evaluated: Evaluated, path: Path) -> None:
    score = evaluated.score
    metrics = {name: value if np.isfinite(value) else None for name, value in score.metrics.items()}
    content = {"primary": score.primary, "metrics": metrics, "notes": score.notes, **evaluation_facts(evaluated)}
    part = path.with_suffix(".partial")
    _write_json(part, content)
    os.replace(part, path)


def _write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    path.write_text(json.dumps(content, indent=indent, allow_nan=False) + "\n")
