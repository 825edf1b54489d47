"""Prediction on new inputs: pictures, folders, videos and splits in; a results file and pictures out."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from engine.config import ConfigError
from engine.detectors import find_detector
from engine.estimator import Estimator, draw
from engine.input_pictures import InputPicture, read_pictures
from engine.input_sources import Source, VideoFile, count_pictures, list_sources
from engine.picture_answers import Answer, answer_pictures
from engine.predict_boxes import BoxFile
from engine.predict_files import Journal
from engine.predict_pictures import PicturePrinter
from engine.predict_regions import Choose, annotated_persons, boxes_of_file, detected_boxes, whole_pictures
from engine.progress import SampleProgress
from engine.trained import network_name
from engine.video_frames import frame_rate
from pipelines.loose_pictures import LoosePicture
from pose.drawing import Picture


@dataclass(frozen=True)
class PredictSettings:
    """What is looked at, and what is written.

    Attributes:
        boxes: a JSON file of persons' boxes, see `engine.predict_boxes`. detector: a name or "module:callable", see
            `engine.detectors`. whole_image: each picture is one person's box. At most one of the three, and none for
            bottom-up recipes; without any, sharded splits are looked at where they are annotated.
        as_stored: leave files as they are stored, as `posestream evaluate` and COCO's tools do, instead of turning
            them upright where EXIF says so. Boxes and predictions are in px of the picture as it is looked at.
        overlays, heatmaps: write pictures with skeletons, and panels of heatmaps.
    """

    boxes: Path | None = None
    detector: str | None = None
    whole_image: bool = False
    as_stored: bool = False
    overlays: bool = True
    heatmaps: bool = False


@dataclass
class Predicted:
    """What became of it.

    Attributes:
        pictures: looked for, instances: looked at (bottom-up: found), persons: in predictions.json.
        damaged: why, by the name of each picture that could not be looked at. without_boxes: names of those that
            nobody gave a box for. notes: what else of the boxes' file was of no use.
        seconds: that it took.
    """

    pictures: int = 0
    instances: int = 0
    persons: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    without_boxes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def instances_per_s(self) -> float:
        return self.instances / self.seconds if self.seconds else 0.0


def predict_inputs(
    estimator: Estimator, inputs: Sequence[str], out: Path, settings: PredictSettings, console: Console
) -> Predicted:
    """Write OUT/predictions.json (COCO's results layout), OUT/images.json (their names, ids and sizes), and pictures.

    Pictures are answered one by one, and what is answered is on disk; see `engine.predict_files`. Damaged ones are
    listed, and the rest goes on.

    Raises:
        InputError: there is no such input. ConfigError: boxes and recipe do not fit together. DetectorError: the
            detector fails. OSError: nothing can be written.
    """
    _require_one_kind_of_boxes(estimator, settings)
    sources = list_sources(inputs, estimator.task.recipe.storage, ignore=out)
    predicted = Predicted()
    choose = _chooser(estimator, settings, sources, predicted.notes)
    journal = Journal(out)
    rates = {source.name: source.path for source in sources if isinstance(source, VideoFile)}
    waiting: deque[InputPicture] = deque()
    started = time.perf_counter()

    def on_done(asked: InputPicture, answer: Answer, problem: str | None) -> None:
        journal.add(asked, answer, problem)
        _count(predicted, asked, answer, problem, needs_boxes=estimator.takes_boxes)
        bar.advance(1)

    printer = PicturePrinter(
        out,
        estimator.skeleton,
        (lambda pixels, answer: _drawn(estimator, pixels, answer)) if settings.overlays else None,
        settings.heatmaps,
        lambda name: frame_rate(rates[name]),
        on_done,
        estimator.task.recipe.data.threads,
    )
    try:
        with SampleProgress(console, "predicting", count_pictures(sources), unit="pictures") as bar:
            pictures = _remembered(choose(read_pictures(sources, settings.as_stored)), waiting)
            for answer in answer_pictures(estimator, pictures, settings.heatmaps):
                printer.add(waiting.popleft(), answer)
            printer.finish()
    finally:
        printer.close()
        journal.close()
    predicted.seconds = time.perf_counter() - started
    journal.finish(_facts(estimator, settings), estimator.skeleton)
    return predicted


def _require_one_kind_of_boxes(estimator: Estimator, settings: PredictSettings) -> None:
    given = {
        "--boxes": settings.boxes is not None,
        "--detector": settings.detector is not None,
        "--whole-image": settings.whole_image,
    }
    named = [name for name, there in given.items() if there]
    if named and not estimator.takes_boxes:
        raise ConfigError(
            f"{named[0]}: recipe {estimator.task.recipe.name} is bottom-up, it finds all persons of whole pictures and "
            "takes no boxes; leave it out"
        )
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)} exclude each other: give one of them")


def _chooser(estimator: Estimator, settings: PredictSettings, sources: Sequence[Source], notes: list[str]) -> Choose:
    recipe = estimator.task.recipe
    if not estimator.takes_boxes:
        return iter
    if settings.boxes is not None:
        return boxes_of_file(recipe, BoxFile(settings.boxes), notes)
    if settings.detector is not None:
        return detected_boxes(recipe, find_detector(settings.detector, estimator.device), settings.detector)
    return whole_pictures(recipe) if settings.whole_image else annotated_persons(recipe, sources)


def _remembered(pictures: Iterable[InputPicture], waiting: deque[InputPicture]) -> Iterator[LoosePicture | None]:
    """What the network is asked about; who asked waits for the answers in the same order."""
    for one in pictures:
        waiting.append(one)
        yield one.picture


def _drawn(estimator: Estimator, pixels: Picture, answer: Answer) -> Picture:
    return draw(pixels, estimator.poses(answer))


def _count(predicted: Predicted, asked: InputPicture, answer: Answer, problem: str | None, needs_boxes: bool) -> None:
    predicted.pictures += 1
    predicted.instances += answer.asked
    predicted.persons += len(answer.predictions)
    if problem is not None:
        predicted.damaged[asked.file_name] = problem
    elif needs_boxes and not answer.asked:
        predicted.without_boxes.append(asked.file_name)


def _facts(estimator: Estimator, settings: PredictSettings) -> dict[str, str]:
    recipe = estimator.task.recipe
    boxes = settings.boxes or settings.detector or ("whole pictures" if settings.whole_image else "annotated")
    return {
        "recipe": recipe.name,
        "model": network_name(recipe, estimator.skeleton.num_keypoints),
        "weights": estimator.weights,
        "boxes": str(boxes) if estimator.takes_boxes else "none",
        "orientation": "as stored" if settings.as_stored else "upright",
        "flip test": "yes" if recipe.evaluate.flip_test else "no",
    }
