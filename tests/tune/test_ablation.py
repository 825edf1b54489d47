"""A table from its data to its files, on Ray: failures stay in their rows, a kill costs no finished training."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from engine.config import ConfigError, Recipe
from sharding.dataset import open_dataset
from sharding.storage import open_folder
from tune.ablation import ClusterOptions, run_ablation, show_ablation
from tune.ablation_data import ready_options
from tune.table import Row, Table, coco_scores, labels
from tune.table_options import AblationOptions
from tune.table_plan import plan_table
from tune.table_results import TrainingScores, write_scores
from tune.tables import find_table

ONE_CPU = ClusterOptions(cpus=1, gpus=0)


@pytest.fixture
def table(tiny_base: Callable[..., Recipe], tmp_path: Path) -> Table:
    """Three rows of tiny networks: one that trains, one that diverges, one that is only cited."""
    recipe = tmp_path / "tiny.json"
    recipe.write_text(tiny_base("train.epochs=1").to_json())
    return Table(
        paper="made",
        number="I",
        title="Learning rates",
        dataset="coco-val2017",
        columns=(*labels("Rate"), *coco_scores("AP", "AR")),
        rows=(
            Row((0.002, 70.0, 75.0), str(recipe)),
            Row((1e30, 1.0, 2.0), str(recipe), ("optim.lr=1e30", "train.epochs=3")),
            Row((None, 69.0, 75.0), why_not="of others"),
        ),
    )


@pytest.fixture
def options(mini_shards: Callable[[str], Path]) -> AblationOptions:
    uri = str(mini_shards("coco"))
    return AblationOptions((uri,), uri, seeds=2)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_row_that_diverges_takes_no_other_down(
    table: Table, options: AblationOptions, tmp_path: Path, console: Console
) -> None:
    outcome = run_ablation(table, str(tmp_path / "out"), options, console, ONE_CPU)
    assert [row.status for row in outcome.rows] == ["done", "failed", "cited"]
    assert not outcome.interrupted
    assert "seed 0: the loss became" in outcome.rows[1].remark
    assert outcome.rows[0].cells[1].count == 2
    page = (tmp_path / "out" / "made-i.md").read_text()
    assert "failed: seed 0: the loss became" in page
    assert json.loads((tmp_path / "out" / "made-i.json").read_text())["rows"][1]["label"] == "Rate 1e+30"


def test_what_is_stored_is_shown_without_ray(table: Table, options: AblationOptions, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    plan = plan_table(table, ready_options(table, options, open_folder(out)))
    for name in plan.rows[0].trainings:
        write_scores(open_folder(out), name, TrainingScores({(): {"AP": 0.5, "AR": 0.6}}))
    outcome = show_ablation(table, str(out), options)
    assert [row.status for row in outcome.rows] == ["done", "waiting", "cited"]
    assert "| 0.002 | 70.0 | 50.0 ± 0.0 | 75.0 | 60.0 ± 0.0 |" in (out / "made-i.md").read_text()


def test_without_anything_left_no_cluster_is_needed(
    table: Table, options: AblationOptions, tmp_path: Path, console: Console
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    plan = plan_table(table, ready_options(table, options, open_folder(out)))
    for training in plan.trainings:
        write_scores(open_folder(out), training.id, TrainingScores({(): {"AP": 0.5, "AR": 0.6}}))
    outcome = run_ablation(table, str(out), options, console, ClusterOptions(address="nobody:1"))
    assert [row.status for row in outcome.rows] == ["done", "done", "cited"]


def test_data_of_another_benchmark_is_refused(options: AblationOptions, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a split of coco; mrnet-iii is measured on mpii-val"):
        ready_options(find_table("mrnet-iii"), options, open_folder(tmp_path))
    with pytest.raises(ConfigError, match="needs --data and --val"):
        ready_options(find_table("mrnet-iii"), AblationOptions((), ""), open_folder(tmp_path))


def test_paths_are_made_absolute_for_trials_in_other_folders(
    options: AblationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(options.val).parent)
    name = Path(options.val).name
    ready = ready_options(find_table("efafnet-x"), AblationOptions((name,), name), open_folder(tmp_path))
    assert (ready.train, ready.val) == (options.train, options.val)


@pytest.mark.parametrize("name", ["bottomup-5", "mrnet-iii"])
def test_the_smoke_budget_brings_its_own_data(name: str, tmp_path: Path) -> None:
    ready = ready_options(find_table(name), AblationOptions((), "", budget="smoke"), open_folder(tmp_path))
    for uri in (*ready.train, ready.val):
        dataset = open_dataset(uri)
        assert dataset.manifest.dataset == find_table(name).benchmark
        assert dataset.manifest.instances >= 2
    assert ready.train != (ready.val,)


def test_the_smoke_budget_brings_boxes_for_detectors_that_are_compared(tmp_path: Path) -> None:
    table = find_table("efafnet-ix")
    ready = ready_options(table, AblationOptions((), "", budget="smoke"), open_folder(tmp_path))
    assert set(ready.detections) == {"faster-rcnn", "cpn"}
    assert all(row.trainings or row.row.recipe is None for row in plan_table(table, ready).rows)
    boxes = [json.loads(Path(file).read_text()) for file in ready.detections.values()]
    assert boxes[0] != boxes[1]


_DRIVER = """
import sys
import ray
from rich.console import Console
from tune.ablation import run_ablation
from tune.table_options import AblationOptions
from tune.tables import find_table

if __name__ == "__main__":
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[2])
    outcome = run_ablation(find_table("enhancenet-5a"), sys.argv[1], AblationOptions((), "", budget="smoke"), Console())
    ray.shutdown()
    sys.exit([row.status for row in outcome.rows] != ["done"] * 3)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_smoke_run_whose_leader_is_killed_goes_on(tmp_path: Path, ray_folder: str) -> None:
    """Of the three trainings of enhancenet-5a, none that was finished before the kill is done again."""
    driver, out = tmp_path / "driver.py", tmp_path / "out"
    driver.write_text(_DRIVER)
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(driver), str(out), ray_folder]
    leader = subprocess.Popen(command, env=environment)
    _until(lambda: list((out / "results").glob("*.json")), 300)
    os.kill(leader.pid, signal.SIGKILL)
    leader.wait()
    before = {file: file.stat().st_mtime_ns for file in (out / "results").glob("*.json")}
    assert 0 < len(before) < 3
    subprocess.run(command, env=environment, check=True, timeout=300)
    assert len(list((out / "results").glob("*.json"))) == 3
    assert {file: file.stat().st_mtime_ns for file in before} == before
    page = (out / "enhancenet-5a.md").read_text()
    assert page.count("| 34.") == 3
    assert "smoke: small crops" in page
    assert not list((out / "runs").rglob("*.ckpt"))  # a smoke run leaves no networks behind


def _until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
