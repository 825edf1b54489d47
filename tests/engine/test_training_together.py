"""Several processes, started by torchrun, train as one does: the same samples, losses and scores."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from engine.checkpoint import load_checkpoint
from engine.config import ConfigError, Recipe, override
from engine.ranks import Ranks, require_divisible
from engine.sync_batchnorm import synchronised
from sharding.dataset import open_dataset

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("launched_training.py")
MakeRecipe = Callable[..., Recipe]


class Launched:
    """What a training by torchrun left behind."""

    def __init__(self, recipe: Recipe, ranks: int, folder: Path, *kill: int, restarts: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "recipe.json").write_text(recipe.to_json())
        command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command += [
            f"--max-restarts={restarts}",
            str(SCRIPT),
            str(folder / "recipe.json"),
            str(folder),
            *map(str, kill),
        ]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        self.status, self.output = done.returncode, done.stdout + done.stderr
        self._folder, self._ranks = folder, ranks

    def steps(self) -> list[tuple[int, list[int], float]]:
        """Step, what all ranks saw in the order of the ranks, loss; repeated steps are repeated."""
        rows = [self._rows(f"steps-{rank}.jsonl") for rank in range(self._ranks)]
        return [
            (shares[0]["step"], [sample for share in shares for sample in share["seen"]], shares[0]["loss"])
            for shares in zip(*rows, strict=True)
        ]

    def epochs(self) -> list[dict[str, Any]]:
        return self._rows("epochs-0.jsonl")

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._folder / name).read_text().splitlines()]


def small_steps(make: MakeRecipe, mini_shards: Callable[[str], Path], *settings: str) -> Recipe:
    """Adam turns rounding errors into steps as long as all others; short ones keep the comparison about the rest."""
    return make(f"data.val={mini_shards('coco')}", "optim.lr=1e-5", "train.sync_batchnorm=true", *settings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tiny", "tiny_bottomup"])
def test_two_ranks_train_as_one_does(
    kind: str, request: pytest.FixtureRequest, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    make = request.getfixturevalue(kind)
    runs = []
    for ranks in (1, 2):
        recipe = small_steps(make, mini_shards, f"run_dir={tmp_path / f'run-{ranks}'}", "train.accumulate=2")
        runs.append(Launched(recipe, ranks, tmp_path / f"logs-{ranks}"))
        assert runs[-1].status == 0, runs[-1].output
    one, two = runs
    assert [step[:2] for step in one.steps()] == [step[:2] for step in two.steps()]
    # Rounding errors grow from step to step, wherever a value is near a kink.
    assert two.steps()[0][2] == pytest.approx(one.steps()[0][2], rel=1e-6)
    assert [step[2] for step in two.steps()] == pytest.approx([step[2] for step in one.steps()], rel=1e-4)
    assert len(one.epochs()) == len(two.epochs()) == 2
    for alone, together in zip(one.epochs(), two.epochs(), strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=2e-5)
        assert together["metrics"] == pytest.approx(alone["metrics"], abs=1e-4)
        assert alone["metrics"]["AP"] >= 0
    weights = [load_checkpoint(tmp_path / f"run-{ranks}" / "last.ckpt").model for ranks in (1, 2)]
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=2e-3)


def normalised_together(rank: int, folder: str) -> None:
    """One of two processes: the third and fourth row of a batch of five, or the others."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    layer, batch = batch_norm()
    synchronised(layer, torch.device("cpu"))
    share = (batch[2:4] if rank else batch[[0, 1, 4]]).requires_grad_()
    out = layer(share)
    (out**3).sum().backward()
    torch.save([out, share.grad, layer.state_dict(), [p.grad for p in layer.parameters()]], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def batch_norm() -> tuple[torch.nn.Sequential, torch.Tensor]:
    rng = torch.Generator().manual_seed(5)
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3, dtype=torch.float64))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(3, generator=rng))
    return layer, torch.randn(5, 3, 4, 2, generator=rng, dtype=torch.float64) * 3 + 1


@pytest.mark.slow
def test_batch_normalisation_of_two_processes_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    mp.spawn(normalised_together, (str(tmp_path),), nprocs=2)  # type: ignore[attr-defined]
    layer, batch = batch_norm()
    out = layer(batch.requires_grad_())
    (out**3).sum().backward()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for index, whole in enumerate((out, batch.grad)):
        torch.testing.assert_close(torch.cat([first[index][:2], second[index], first[index][2:]]), whole)
    for state in (first[2], second[2]):
        torch.testing.assert_close(state, dict(layer.state_dict()), check_dtype=True)
    for mine, other, whole in zip(first[3], second[3], layer.parameters(), strict=True):
        torch.testing.assert_close(mine + other, whole.grad)


@pytest.mark.slow
def test_a_killed_rank_is_replaced_and_the_run_goes_on_with_the_same_samples(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    common = ("train.checkpoint_every_steps=2", "train.epochs=2")
    whole = Launched(small_steps(tiny, mini_shards, *common, f"run_dir={tmp_path / 'whole'}"), 2, tmp_path / "logs")
    recipe = small_steps(tiny, mini_shards, *common, f"run_dir={tmp_path / 'killed'}")
    steps = len(whole.steps()) // 2
    killed = Launched(recipe, 2, tmp_path / "killed-logs", 1, steps + 3, restarts=1)
    assert killed.status == 0, killed.output
    assert (tmp_path / "killed-logs" / "killed").exists()
    first, second = ({step: seen for step, seen, _ in run.steps()} for run in (whole, killed))
    assert first == second
    assert [epoch["metrics"] for epoch in killed.epochs()] == [epoch["metrics"] for epoch in whole.epochs()]
    repeated = len(killed.steps()) - len(whole.steps())
    assert 0 <= repeated <= 2


@pytest.mark.slow
def test_a_run_goes_on_with_fewer_and_more_ranks(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    recipe = small_steps(tiny, mini_shards, f"run_dir={tmp_path / 'run'}", "train.epochs=3")
    whole = Launched(override(recipe, [f"run_dir={tmp_path / 'whole'}"]), 1, tmp_path / "logs")
    seen = []
    for epochs, ranks in ((1, 2), (2, 4), (3, 1)):
        run = Launched(override(recipe, [f"train.epochs={epochs}"]), ranks, tmp_path / f"logs-{ranks}")
        assert run.status == 0, run.output
        seen += [step[:2] for step in run.steps()]
    assert seen == [step[:2] for step in whole.steps()]


@pytest.mark.slow
def test_what_any_rank_leaves_out_is_listed_and_counted_once(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(mini_shards("coco"), tmp_path / "damaged")
    split = open_dataset(tmp_path / "damaged")
    offsets = split.image_column("offset").all()
    rows = np.unique(split.instance_images[split.trainable])
    rows = rows[split.image_column("offset").shard_of(rows) == 0]
    tar = tmp_path / "damaged" / split.tar_name(0)
    data = bytearray(tar.read_bytes())
    for row in rows:
        data[int(offsets[row]) + 900] ^= 255
    tar.write_bytes(data)
    skip = (f"data.train={tmp_path / 'damaged'}", "data.on_bad_sample=skip", "data.max_bad_share=0.9")
    told = []
    for ranks in (1, 2):
        run = Launched(tiny(*skip, f"run_dir={tmp_path / f'run-{ranks}'}"), ranks, tmp_path / f"logs-{ranks}")
        assert run.status == 0, run.output
        lines = (tmp_path / f"run-{ranks}" / "bad_samples.jsonl").read_text().splitlines()
        pictures = [json.loads(line)["picture"] for line in lines]
        assert len(pictures) == len(set(pictures)) == len(rows) > 1
        told.append((set(pictures), re.findall(r"(\d+) instances left out", run.output)))
    assert told[0] == told[1]


def test_a_batch_must_be_dealt_evenly() -> None:
    require_divisible(12, 4)
    with pytest.raises(ConfigError, match=r"train\.batch_size=10 counts all 4 processes .* train\.batch_size=8"):
        require_divisible(10, 4)
    require_divisible(132, 2, 3, 4)
    with pytest.raises(ConfigError, match=r"batch_size=128 counts all 2 to 4 processes .* train\.batch_size=132"):
        require_divisible(128, 2, 3, 4)


def test_alone_every_answer_is_ones_own() -> None:
    ranks, number = Ranks(0, 1), torch.tensor(3)
    assert ranks.writes
    assert ranks.mean(number) is ranks.total(number) is number
    assert ranks.gather("mine") == ranks.share("mine") == ["mine"]
    assert ranks.agreed(lambda: "made") == "made"
