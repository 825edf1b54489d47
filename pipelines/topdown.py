"""The top-down loader: one crop per person box, in the plan's order, resumable at any step."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augmentation import Augmentation, augment
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.plan import Plan, Shuffle
from pipelines.reader import PictureReader
from pipelines.samples import TopDownSamples
from pose.crop import CropConvention, crop_matrices, invert_affine, transform_points


@dataclass(frozen=True)
class TopDownBatch:
    """B crops and what is known of them. Rows that only fill up an epoch's last batch have `valid` False.

    Attributes:
        crops: (B, 3, H, W) uint8 RGB, channels-last memory, on the loader's device.
        keypoints: (B, K, 2) float32, crop px. visibility: (B, K) uint8, 0 not labelled, 1 hidden, 2 visible.
        image_to_crop: (B, 2, 3) float64.
        instance_ids, image_ids: (B,) int64; instance id −1 for a detected box.
        box_scores: (B,) float64. box_areas: (B,) float64, image px² that the crop shows.
        valid: (B,) bool.
    """

    crops: Tensor
    keypoints: Tensor
    visibility: Tensor
    image_to_crop: Tensor
    instance_ids: Tensor
    image_ids: Tensor
    box_scores: Tensor
    box_areas: Tensor
    valid: Tensor


@dataclass(frozen=True)
class LoaderSettings:
    """How samples become batches. `batch_size` counts all ranks together; `padding` enlarges boxes (specs 0.3)."""

    crop_size: tuple[int, int]
    batch_size: int
    seed: int = 0
    shuffle: Shuffle = "image"
    convention: CropConvention = "hrnet"
    padding: float = 1.25
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: int = 2
    prefetch: int = 2
    epochs: int | None = None
    """How many epochs to read ahead into; None: without end."""
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of the {self.world_size} ranks")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must lie in [0, {self.world_size}), got {self.rank}")
        for name in ("threads", "prefetch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class TopDownLoader:
    """Iterates over one epoch at a time; state is the number of batches handed out since the start of training.

    `waited_s` is the time that the consumer has spent waiting in `next()`.
    """

    def __init__(self, samples: TopDownSamples, settings: LoaderSettings) -> None:
        self.samples = samples
        self.settings = settings
        self.plan = Plan(samples.image_rows, settings.batch_size, settings.seed, settings.shuffle)
        self.step = 0
        self.waited_s = 0.0
        self._reader = PictureReader(samples.dataset)
        self._image_ids = samples.dataset.image_column("image_id")
        self._stream: _Stream | None = None

    def __len__(self) -> int:
        """Batches of a full epoch."""
        return self.plan.steps_per_epoch

    def __iter__(self) -> Iterator[TopDownBatch]:
        """Batches from the current step to the end of its epoch."""
        end = (self.step // len(self) + 1) * len(self)
        while self.step < end:
            started = time.perf_counter()
            try:
                batch = self._stream_at(self.step).next()
            except BaseException:
                self.close()  # pictures and labels in flight no longer belong together; the next attempt starts afresh
                raise
            self.waited_s += time.perf_counter() - started
            self.step += 1  # before the yield: code after the last one would never run
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The consumed step; it is the same on every rank, and nothing else is needed."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = int(state["step"])

    def close(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _stream_at(self, step: int) -> "_Stream":
        if self._stream is None or self._stream.step != step:
            self.close()
            self._stream = _Stream(self, step)
        return self._stream

    def prepare(self, step: int) -> tuple[GraphInput, TopDownBatch]:
        """This rank's share of a global batch, all but the pixels (`crops` is empty)."""
        settings = self.settings
        epoch, planned = self.plan.batch(step)
        share = settings.batch_size // settings.world_size
        planned = planned[settings.rank * share : (settings.rank + 1) * share]
        valid = planned >= 0
        # Filling rows repeat a real sample, so that the graph needs no special case; nothing counts them.
        samples = np.where(valid, planned, planned[0] if valid[0] else 0)
        instances = self.samples.take(samples, settings.crop_size, settings.padding)
        # Detected boxes have no instance id; they are never augmented, but need a number all the same.
        draw = (settings.seed, epoch, np.where(instances.instance_ids < 0, samples, instances.instance_ids))
        skeleton = self.samples.dataset.skeleton
        regions = augment(
            settings.augmentation,
            skeleton,
            settings.crop_size,
            instances.center,
            instances.extent,
            instances.keypoints,
            draw,
        )
        image_to_crop = crop_matrices(
            regions.center, regions.extent, settings.crop_size, settings.convention, regions.rotation, regions.mirror
        )
        keypoints = transform_points(image_to_crop, instances.keypoints[:, :, :2])
        visibility = instances.keypoints[:, :, 2]
        keypoints, visibility = _swap_sides(keypoints, visibility, regions.mirror, skeleton.flip_indices)
        rows, picture_of_instance = np.unique(instances.image_rows, return_inverse=True)
        graph_input = GraphInput(self._reader.read(rows), picture_of_instance, invert_affine(image_to_crop))
        batch = TopDownBatch(
            crops=torch.empty(0),
            keypoints=torch.from_numpy(keypoints.astype(np.float32)),
            visibility=torch.from_numpy((visibility * valid[:, None]).astype(np.uint8)),
            image_to_crop=torch.from_numpy(image_to_crop),
            instance_ids=torch.from_numpy(instances.instance_ids),
            image_ids=torch.from_numpy(self._image_ids.take(instances.image_rows)),
            box_scores=torch.from_numpy(instances.box_scores),
            box_areas=torch.from_numpy(regions.extent.prod(axis=1)),
            valid=torch.from_numpy(valid),
        )
        return graph_input, batch


def _swap_sides(
    keypoints: NDArray[np.float64],
    visibility: NDArray[np.float64],
    mirror: NDArray[np.bool_],
    flip_indices: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In a mirrored picture the left wrist is a right wrist."""
    flip = list(flip_indices)
    keypoints = np.where(mirror[:, None, None], keypoints[:, flip], keypoints)
    return keypoints, np.where(mirror[:, None], visibility[:, flip], visibility)


class _Stream:
    """Batches from a given step on: a thread prepares them ahead, the graph works on a few at a time."""

    def __init__(self, loader: TopDownLoader, step: int) -> None:
        settings = loader.settings
        self.step = step
        self._loader = loader
        self._stop = None if settings.epochs is None else settings.epochs * len(loader)
        self._ready: queue.Queue[tuple[GraphInput, TopDownBatch] | Exception | None] = queue.Queue(settings.prefetch)
        self._in_flight: deque[TopDownBatch] = deque()
        self._failure: Exception | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read_ahead, args=(step,), name="posestream-reader", daemon=True)
        # Before the thread starts: a graph that cannot be built must not leave it behind.
        self._graph = CropGraph(
            self._next_input,
            settings.batch_size // settings.world_size,
            settings.crop_size,
            settings.device,
            settings.threads,
            settings.prefetch,
        )
        self._thread.start()

    def next(self) -> TopDownBatch:
        try:
            crops = self._graph.run()
        except StopIteration:
            # What was in flight before a failure has been handed out; now is the failure's turn.
            raise self._failure or RuntimeError(f"the loader was set to end before step {self.step}") from None
        except RuntimeError as error:
            images = sorted(set(self._in_flight[0].image_ids.tolist())) if self._in_flight else []
            raise RuntimeError(
                f"step {self.step}: the graph failed on a batch of the images {images}: {error}"
            ) from error
        self.step += 1
        return replace(self._in_flight.popleft(), crops=crops)

    def close(self) -> None:
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()
        self._graph.close()

    def _next_input(self) -> GraphInput:
        item = self._ready.get()
        if item is None or isinstance(item, Exception):
            self._failure = item
            raise StopIteration
        self._in_flight.append(item[1])
        return item[0]

    def _read_ahead(self, step: int) -> None:
        try:
            while not self._closed.is_set() and (self._stop is None or step < self._stop):
                self._ready.put(self._loader.prepare(step))
                step += 1
            self._ready.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised again in the consumer's thread
            self._ready.put(error)
