"""The training loop, on Lightning Fabric. Killed anywhere, the same call goes on with the same remaining batches."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from engine.checkpoint import Checkpoint, load_checkpoint, require_same_run
from engine.clock import EpochClock, Pace
from engine.config import ConfigError, Recipe
from engine.data import open_split, open_training_splits, training_digest, training_skeleton
from engine.diverged import DivergedError
from engine.fabric import make_training_fabric
from engine.inference import predict_together, score_split
from engine.learner import Learner
from engine.observer import EpochReport, Observer
from engine.progress import SampleProgress
from engine.ranks import Ranks, require_divisible
from engine.run_folder import BEST, LAST, RunFolder
from engine.sync_batchnorm import synchronised
from engine.tasks import make_task
from engine.verdict import judge
from evaluation.score import Score, require_evaluator
from pipelines.loader import BatchLoader
from pose.errors import UserError
from pose.skeletons import Skeleton, contrast
from sharding.dataset import ShardedDataset

_LOG_EVERY = 10  # batches


@dataclass(frozen=True)
class TrainingResult:
    """Where the checkpoints are, and the last score on the validation split, if the recipe names one."""

    last: Path
    best: Path
    score: Score | None
    steps: int
    seconds: float


def train(recipe: Recipe, console: Console, observer: Observer | None = None) -> TrainingResult:
    """Train a recipe in its run folder, from the last checkpoint there if there is one.

    Started by torchrun or Ray Train, the processes train together: each learns from its share of every batch, and the
    first one scores and writes. The other ones' result has no score.

    Raises:
        ConfigError: the recipe lacks a training split. CheckpointError: the run folder holds another run.
        NotADatasetError, BrokenShardError: a split cannot be read.
    """
    started = time.perf_counter()
    training = _Training(recipe, console, observer)
    try:
        score = training.run()
    finally:
        training.close()
    path = training.folder.path
    return TrainingResult(path / LAST, path / BEST, score, training.step, time.perf_counter() - started)


class _Training:
    """One run: the network, its optimiser, its loader, and how far it has come."""

    def __init__(self, recipe: Recipe, console: Console, observer: Observer | None) -> None:
        self.recipe, self.observer = recipe, observer
        self.fabric = make_training_fabric(recipe.train.precision)
        self.ranks = Ranks(self.fabric.global_rank, self.fabric.world_size)
        self.console = console if self.ranks.writes else Console(quiet=True)
        require_divisible(recipe.train.batch_size, self.ranks.size)
        datasets = open_training_splits(recipe)
        self.skeleton, self._digest = training_skeleton(recipe, datasets), training_digest(datasets)
        self.task = make_task(recipe, self.skeleton)
        self.val = open_split(recipe.data.val, recipe.storage) if recipe.data.val is not None else None
        _require_same_keypoints(self.skeleton, self.val)
        if self.val is not None:
            require_evaluator(self.val.manifest.dataset)  # not after the first epoch
            self.task.evaluation_samples(self.val)
        self._val_digest = None if self.val is None else self.val.manifest.digest()
        samples = self.task.training_samples(datasets)
        self.folder = RunFolder(recipe, self.ranks.writes, self._say)
        resumed: Checkpoint | None = self.ranks.agreed(self._checkpoint_to_resume)
        network = self.task.build_model(pretrained=resumed is None)
        if recipe.train.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.train.sync_batchnorm and self.ranks.size > 1:
            synchronised(network, self.fabric.device)
        self.loader: BatchLoader[Any] = self.task.training_loader(
            samples, self.fabric.device, self.ranks.rank, self.ranks.size
        )
        self.learner = Learner(recipe, self.task, network, self.fabric, len(self.loader))
        self.validated_epochs = 0
        self.best: float | None = None
        self.score: Score | None = None
        self._loss = 0.0
        self._pace, self._epoch_pace = Pace(), Pace()
        self._saved_step = 0
        if resumed is not None:
            self._restore(resumed)
        if recipe.bottomup is not None and recipe.bottomup.grouping.scoring != "naive":
            self._say("validation ranks poses by naive scores: the network of learned ones is trained afterwards")
        self.folder.start(recipe, self.step)

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
            metrics = self._validate()
            self._save(LAST)
            if self.observer is not None:
                self.observer.epoch_done(self._report(metrics), self.folder.path / LAST if self.ranks.writes else None)
        self._report_speed()
        return self.score

    def close(self) -> None:
        self.loader.close()
        self.folder.list_bad_samples(self.loader.bad_samples.reasons)
        self.folder.close()

    def _epochs_done(self) -> int:
        return self.step // len(self.loader)

    def _train_epoch(self) -> None:
        train, batches = self.recipe.train, len(self.loader)
        epoch = self._epochs_done()
        self.learner.model.train()
        clock = EpochClock(self.loader)
        label = f"epoch {epoch + 1}/{train.epochs}"
        with SampleProgress(
            self.console, label, self.loader.plan.epoch_size, self.step % batches * train.batch_size
        ) as bar:
            for batch in self.loader:
                samples = int(batch.valid.sum()) * self.ranks.size
                clock.count(self.learner.learn(batch, self.step))
                if self.step % _LOG_EVERY == 0:  # reading the loss makes a GPU wait, so not at every batch
                    self._log(clock)
                bar.advance(samples, f"loss {self._loss:.2e}  waiting {clock.pace.waiting:.0%}")
                if self._checkpoint_is_due():
                    self._log(clock)
                    self._save(LAST)
                    if train.keep_step_checkpoints:
                        self._save(f"step-{self.step:08d}.ckpt")
        self._log(clock)
        pace = self._epoch_pace = clock.pace
        self._pace.add(pace)
        self.folder.add_scalar(f"train/{self.task.unit}_per_s", pace.rate, self.step)
        self.folder.add_scalar("train/waiting_for_data", pace.waiting, self.step)
        self._say(
            f"{label}  loss {self._loss:.2e}  {pace.rate:.1f} {self.task.unit}/s  waiting for data {pace.waiting:.1%}"
        )
        self._list_bad_samples()

    def _list_bad_samples(self) -> None:
        """Those of all ranks."""
        bad = self.loader.bad_samples
        for reasons, samples in self.ranks.gather((dict(bad.reasons), bad.samples)):
            bad.add(reasons, samples)
        if bad.count:
            listed = self.folder.list_bad_samples(bad.reasons)
            self._say(f"  {bad.count} {self.task.unit} left out, their pictures cannot be used: {listed}")

    def _report(self, metrics: dict[str, float]) -> EpochReport:
        pace = self._epoch_pace
        return EpochReport(self.validated_epochs, self.step, self._loss, metrics, pace.rate, pace.waiting, pace.seconds)

    def _report_speed(self) -> None:
        """Say which of loader and network is the limit; measured alone, once everything is saved."""
        seconds, state = self.recipe.train.verdict_seconds, self.loader.state_dict()
        if not seconds or not self._pace.samples:
            return
        self.learner.model.train()
        try:
            verdict = judge(self._pace, self.loader, self.learner, self.fabric.device, seconds)
        except (UserError, OSError) as error:
            self._say(f"what limits the speed could not be measured: {error}")
            return
        finally:
            self.loader.load_state_dict(state)
        if self.ranks.writes:
            verdict.write(self.folder.path)
        for name, value in asdict(verdict).items():
            self.folder.add_scalar(f"verdict/{name}", value, self.step)
        self._say(verdict.line(self.task.unit))

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _checkpoint_is_due(self) -> bool:
        """Whether a multiple of the recipe's interval was passed since the last one, and no gradient is pending."""
        every = self.recipe.train.checkpoint_every_steps
        return self.step // every > self._saved_step // every and self.learner.is_optimizer_step(self.step)

    def _log(self, clock: EpochClock) -> None:
        """The epoch's mean loss so far. Raises DivergedError, before anything is saved, if it is no number any more."""
        self._loss = clock.loss
        if not math.isfinite(self._loss):
            step = self._saved_step
            saved = f"{self.folder.path / LAST} is from batch {step}" if step else "nothing was saved before"
            raise DivergedError(
                f"the loss became {self._loss} by batch {self.step}; lower optim.lr or set train.precision=32-true; "
                f"{saved}"
            )
        self.folder.add_scalar("train/loss", self._loss, self.step)

    def _validate(self) -> dict[str, float]:
        """The metrics, if this epoch is scored and this is the rank that scores."""
        metrics: dict[str, float] = {}
        epoch = self._epochs_done()
        due = epoch % self.recipe.train.validate_every == 0 or epoch >= self.recipe.train.epochs
        if self.val is not None and due:
            samples = self.task.evaluation_samples(self.val)
            with SampleProgress(self.console, "validation", len(samples), unit=self.task.unit) as bar:
                answers = predict_together(
                    self.ranks,
                    self.task,
                    self.learner.model,
                    self.learner.network,
                    samples,
                    self.fabric.device,
                    lambda count: bar.advance(count * self.ranks.size),
                )
            if answers is not None:
                self.score = score_split(self.task, self.val, answers)
                metrics = dict(self.score.metrics)
                for name, value in metrics.items():
                    self.folder.add_scalar(f"val/{name}", value, self.step)
                self._say(f"  {self.score.primary} {self.score.value:.4g} on {self.val.folder.uri}")
        self.validated_epochs = epoch
        if self.best is None or (due and self.score is not None and self.score.value > self.best):
            self.best = self.score.value if self.score is not None and math.isfinite(self.score.value) else None
            self._save(BEST)
        return metrics

    def _checkpoint_to_resume(self) -> Checkpoint | None:
        """The observer's, else the run folder's."""
        given, free = None, frozenset[str]()
        if self.observer is not None:
            given, free = self.observer.start_from, self.observer.may_change
        checkpoint = self.folder.last() if given is None else load_checkpoint(given)
        if checkpoint is not None:
            where = str(given or f"{self.recipe.run_dir}/{LAST}")
            require_same_run(checkpoint, self.recipe, self._digest, where, free)
        return checkpoint

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.learner.network.load_state_dict(checkpoint.model)
        self.learner.load_optimizer(checkpoint.optimizer)
        self.loader.load_state_dict(checkpoint.loader)
        self.validated_epochs = checkpoint.validated_epochs
        same_scoring = (checkpoint.val_digest, _test_of(checkpoint.recipe)) == (self._val_digest, _test_of(self.recipe))
        self.best = checkpoint.best if same_scoring else None  # scores of different tests do not compare
        torch.set_rng_state(checkpoint.rng_state.clone())  # a view of a larger storage crashes torch 2.13
        self._saved_step = self.step
        epoch, position = divmod(self.step, len(self.loader))
        self._say(f"resuming {self.recipe.run_dir} in epoch {epoch + 1} after {position} batches")

    def _save(self, name: str) -> None:
        self._saved_step = self.step
        if not self.ranks.writes:
            return
        checkpoint = Checkpoint(
            model=self.learner.network.state_dict(),
            optimizer=self.learner.optimizer.state_dict(),
            loader=dict(self.loader.state_dict()),
            step=self.step,
            validated_epochs=self.validated_epochs,
            best=self.best,
            rng_state=torch.get_rng_state(),
            recipe=self.recipe,
            dataset_digest=self._digest,
            val_digest=self._val_digest,
            skeleton=self.skeleton,
        )
        self.folder.list_bad_samples(self.loader.bad_samples.reasons)
        self.folder.save(checkpoint, name)


def _test_of(recipe: Recipe) -> tuple[object, ...]:
    """What validation depends on, besides the network."""
    bottomup = recipe.bottomup
    return (recipe.evaluate, *(() if bottomup is None else (bottomup.test, bottomup.grouping)))


def _require_same_keypoints(train: Skeleton, val: ShardedDataset | None) -> None:
    if val is not None and val.skeleton != train:
        difference = "" if val.skeleton.name != train.name else f": {contrast(train, val.skeleton)}"
        raise ConfigError(f"data.train has {train.name} keypoints, data.val has {val.skeleton.name}{difference}")
