"""The training loop, on Lightning Fabric. Killed anywhere, the same call goes on with the same remaining batches."""

import fcntl
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from engine.checkpoint import Checkpoint, load_checkpoint, require_same_run, save_checkpoint
from engine.clock import EpochClock
from engine.config import ConfigError, OptimConfig, Recipe
from engine.fabric import make_fabric
from engine.inference import evaluation_samples, predict_split, score_split
from engine.progress import SampleProgress
from engine.schedule import learning_rate
from engine.topdown import TopDownTask
from evaluation.score import Score, require_evaluator
from models import HeatmapNetwork
from pipelines.samples import annotated_samples
from pipelines.topdown import TopDownLoader
from pose.errors import UserError
from sharding.dataset import ShardedDataset, open_dataset

LAST, BEST = "last.ckpt", "best.ckpt"
_LOG_EVERY = 10  # batches


class DivergedError(UserError, ArithmeticError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class TrainingResult:
    """Where the checkpoints are, and the last score on the validation split, if the recipe names one."""

    last: Path
    best: Path
    score: Score | None
    steps: int
    seconds: float


def train(recipe: Recipe, console: Console) -> TrainingResult:
    """Train a recipe in its run folder, from the last checkpoint there if there is one.

    Raises:
        ConfigError: the recipe lacks a training split. CheckpointError: the run folder holds another run.
        NotADatasetError, BrokenShardError: a split cannot be read.
    """
    started = time.perf_counter()
    training = _Training(recipe, console)
    try:
        score = training.run()
    finally:
        training.close()
    return TrainingResult(
        training.run_dir / LAST, training.run_dir / BEST, score, training.step, time.perf_counter() - started
    )


class _Training:
    """One run: the network, its optimiser, its loader, and how far it has come."""

    def __init__(self, recipe: Recipe, console: Console) -> None:
        if recipe.data.train is None:
            raise ConfigError("data.train is not set; give the training split, e.g. data.train=/data/coco/train2017")
        self.recipe, self.console = recipe, console
        self.run_dir = Path(recipe.run_dir)
        self.fabric = make_fabric(recipe)
        self.dataset = open_dataset(recipe.data.train)
        self.val = open_dataset(recipe.data.val) if recipe.data.val is not None else None
        _require_same_keypoints(self.dataset, self.val)
        if self.val is not None:
            require_evaluator(self.val.manifest.dataset)  # not after the first epoch
        self._val_digest = None if self.val is None else self.val.manifest.digest()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_run(self.run_dir)
        self.task = TopDownTask(recipe, self.dataset.skeleton)
        resumed = self._checkpoint_to_resume()
        self.network = self.task.build_model(pretrained=resumed is None)
        if recipe.train.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(recipe.optim, self.network)
        self.model, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.loader: TopDownLoader = self.task.training_loader(
            annotated_samples(self.dataset), self.fabric.device, self.fabric.global_rank, self.fabric.world_size
        )
        self.validated_epochs = 0
        self.best: float | None = None
        self.score: Score | None = None
        self._loss = 0.0
        self._saved_step = 0
        if resumed is not None:
            self._restore(resumed)
        self.board = SummaryWriter(self.run_dir / "tensorboard", purge_step=self.step + 1)
        (self.run_dir / "recipe.json").write_text(recipe.to_json() + "\n")

    @property
    def step(self) -> int:
        """Batches trained on since the start."""
        return self.loader.step

    def run(self) -> Score | None:
        epochs = self.recipe.train.epochs
        while self.step < epochs * len(self.loader) or self.validated_epochs < self._epochs_done():
            # An epoch that was trained but not scored, because the run was killed in between, is scored first.
            if self.validated_epochs == self._epochs_done():
                self._train_epoch()
                self._save(LAST)
            self._validate()
            self._save(LAST)
        return self.score

    def close(self) -> None:
        self.loader.close()
        self.board.close()
        self._lock.close()

    def _epochs_done(self) -> int:
        return self.step // len(self.loader)

    def _train_epoch(self) -> None:
        train, batches = self.recipe.train, len(self.loader)
        epoch = self._epochs_done()
        self.model.train()
        clock = EpochClock(self.loader)
        label = f"epoch {epoch + 1}/{train.epochs}"
        with SampleProgress(
            self.console, label, len(self.loader.samples), self.step % batches * train.batch_size
        ) as bar:
            for loss, samples in self._batches():
                clock.count(samples, loss)
                if self.step % _LOG_EVERY == 0:  # reading the loss makes a GPU wait, so not at every batch
                    self._log(clock)
                bar.advance(samples, f"loss {self._loss:.2e}  waiting {clock.waiting:.0%}")
                if self._checkpoint_is_due():
                    self._log(clock)
                    self._save(LAST)
                    if train.keep_step_checkpoints:
                        self._save(f"step-{self.step:08d}.ckpt")
        self._log(clock)
        self.board.add_scalar("train/instances_per_s", clock.rate, self.step)
        self.board.add_scalar("train/waiting_for_data", clock.waiting, self.step)
        self.console.print(
            f"{label}  loss {self._loss:.2e}  {clock.rate:.0f} instances/s  waiting for data {clock.waiting:.1%}",
            highlight=False,
        )

    def _checkpoint_is_due(self) -> bool:
        """Whether a multiple of the recipe's interval was passed since the last one, and no gradient is pending."""
        every = self.recipe.train.checkpoint_every_steps
        return self.step // every > self._saved_step // every and self._at_optimizer_step()

    def _log(self, clock: EpochClock) -> None:
        """The epoch's mean loss so far. Raises DivergedError, before anything is saved, if it is no number any more."""
        self._loss = clock.loss
        if not math.isfinite(self._loss):
            raise DivergedError(
                f"the loss became {self._loss} by batch {self.step}; lower optim.lr or set train.precision=32-true. "
                f"{self.run_dir / LAST} is from batch {self._saved_step}"
            )
        self.board.add_scalar("train/loss", self._loss, self.step)

    def _batches(self) -> Iterator[tuple[Tensor, int]]:
        """Trains on what is left of the epoch; yields each batch's loss and its number of samples."""
        train = self.recipe.train
        for batch in self.loader:
            rate = learning_rate(self.recipe.optim, self.step - 1, len(self.loader), train.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            steps_now = self._at_optimizer_step()
            with self.fabric.no_backward_sync(self.model, enabled=not steps_now):
                maps = self.model(self.task.network_input(batch.crops))
                loss = self.task.loss(maps, self.network.outputs, batch)
                self.fabric.backward(loss / self._batches_per_optimizer_step())
            if steps_now:
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            yield loss.detach(), int(batch.valid.sum())

    def _batches_per_optimizer_step(self) -> int:
        """`accumulate`, or what an epoch's last step of the optimiser is left with."""
        accumulate, batches = self.recipe.train.accumulate, len(self.loader)
        first = (self.step - 1) % batches // accumulate * accumulate
        return min(accumulate, batches - first)

    def _at_optimizer_step(self) -> bool:
        """Whether the gradients of the batches so far have all been used; always so at the end of an epoch."""
        return self.step % len(self.loader) % self.recipe.train.accumulate == 0

    def _validate(self) -> None:
        epoch = self._epochs_done()
        due = epoch % self.recipe.train.validate_every == 0 or epoch >= self.recipe.train.epochs
        if self.val is not None and due:
            samples = evaluation_samples(self.recipe, self.val)
            with SampleProgress(self.console, "validation", len(samples)) as bar:
                predictions = predict_split(
                    self.task, self.model, self.network, samples, self.fabric.device, bar.advance
                )
            self.score = score_split(self.recipe, self.val, predictions)
            for name, value in self.score.metrics.items():
                self.board.add_scalar(f"val/{name}", value, self.step)
            self.console.print(
                f"  {self.score.primary} {self.score.value:.4g} on {self.val.folder.uri}",
                markup=False,
                highlight=False,
            )
        self.validated_epochs = epoch
        if self.best is None or (due and self.score is not None and self.score.value > self.best):
            self.best = self.score.value if self.score is not None and math.isfinite(self.score.value) else None
            self._save(BEST)

    def _checkpoint_to_resume(self) -> Checkpoint | None:
        path = self.run_dir / LAST
        if not path.exists():
            return None
        checkpoint = load_checkpoint(path)
        require_same_run(checkpoint, self.recipe, self.dataset.manifest.digest(), path)
        return checkpoint

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.network.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.loader.load_state_dict(checkpoint.loader)
        self.validated_epochs = checkpoint.validated_epochs
        same_scoring = (checkpoint.val_digest, checkpoint.recipe.evaluate) == (self._val_digest, self.recipe.evaluate)
        self.best = checkpoint.best if same_scoring else None  # scores of different tests do not compare
        torch.set_rng_state(checkpoint.rng_state.clone())  # a view of a larger storage crashes torch 2.13
        self._saved_step = self.step
        epoch, position = divmod(self.step, len(self.loader))
        self.console.print(
            f"resuming {self.run_dir} in epoch {epoch + 1} after {position} batches", markup=False, highlight=False
        )

    def _save(self, name: str) -> None:
        checkpoint = Checkpoint(
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            loader=dict(self.loader.state_dict()),
            step=self.step,
            validated_epochs=self.validated_epochs,
            best=self.best,
            rng_state=torch.get_rng_state(),
            recipe=self.recipe,
            dataset_digest=self.dataset.manifest.digest(),
            val_digest=self._val_digest,
            num_keypoints=self.dataset.skeleton.num_keypoints,
        )
        save_checkpoint(checkpoint, self.run_dir / name)
        self._saved_step = self.step


def _lock_run(run_dir: Path) -> TextIO:
    """Hold the run folder for this process; the lock ends with it, however it ends."""
    lock = (run_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"another training runs in {run_dir}; wait for it, or choose another run_dir") from error
    return lock


def build_optimizer(config: OptimConfig, network: HeatmapNetwork) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.name](network.parameters(), lr=config.lr, weight_decay=config.weight_decay)


def _require_same_keypoints(train: ShardedDataset, val: ShardedDataset | None) -> None:
    if val is not None and val.skeleton != train.skeleton:
        raise ConfigError(f"data.train has {train.skeleton.name} keypoints, data.val has {val.skeleton.name}")
