"""The official CrowdPose score, by xtcocotools."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from evaluation.coco_layout import copy_ground_truth, copy_results
from pose.errors import UserError
from pose.skeletons import CROWDPOSE_14

CROWDPOSE_METRICS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")

_INSTALL = (
    "CrowdPose scores need xtcocotools, which could not be imported ({cause}). Its wheel on PyPI is built against "
    "numpy 1; build it from source, with numpy, cython, setuptools, wheel and a C compiler in the environment:\n"
    "    pip install --no-build-isolation --no-binary xtcocotools xtcocotools"
)


class MissingToolError(UserError, ImportError):
    """The official evaluator is not installed, or not for this numpy; the message says how to install it."""


def evaluate_crowdpose(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The nine CrowdPose metrics, in [0, 1]; -1 where no annotated person qualifies. Levels come rounded to 4 digits.

    A person's area is 0.53 x box width x box height. Levels go by the image's `crowdIndex`: easy < 0.2, medium < 0.8,
    hard the rest; images without one count in no level. Persons whose annotated `num_keypoints` is 0 are ignored, even
    where some keypoint is labelled. Neither argument is changed. No results give zeros.
    Raises MissingToolError that says how to install xtcocotools, and ValueError as `copy_ground_truth` and
    `copy_results` do.
    """
    coco_class, evaluator_class = _import_xtcocotools()
    num_keypoints = CROWDPOSE_14.num_keypoints
    truth = copy_ground_truth(ground_truth, num_keypoints, ("bbox", "num_keypoints"))
    detections = [_counted(result) for result in copy_results(results, truth, num_keypoints)]
    with redirect_stdout(io.StringIO()):
        indexed = coco_class("in memory", ann_data=truth)
        evaluator = evaluator_class(
            indexed,
            indexed.loadRes(detections),
            "keypoints_crowd",
            sigmas=np.array(CROWDPOSE_14.oks_sigmas),
            use_area=False,
        )
        # The tool would read the images' crowdIndex from the annotation file again; here there is no file.
        evaluator.split = lambda _file, first, second: _levels(truth["images"], first, second)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(CROWDPOSE_METRICS, map(float, evaluator.stats), strict=True))


def _counted(result: dict[str, Any]) -> dict[str, Any]:
    """With keypoint scores 1, so that the person counts.

    xtcocotools drops persons none of whose keypoint scores is positive, false positives among them. The evaluator of
    the CrowdPose authors, and COCO's, count every person. Keypoint scores serve for nothing else there.
    """
    keypoints = np.array(result["keypoints"], np.float64)
    keypoints[2::3] = 1
    return {**result, "keypoints": keypoints.tolist()}


def _levels(images: list[dict[str, Any]], first: float, second: float) -> tuple[list[int], list[int], list[int]]:
    """Image ids of the easy, medium and hard level."""
    known = [(image["id"], image["crowdIndex"]) for image in images if image.get("crowdIndex") is not None]
    easy = [image_id for image_id, index in known if index < first]
    medium = [image_id for image_id, index in known if first <= index < second]
    hard = [image_id for image_id, index in known if index >= second]
    return easy, medium, hard


def require_xtcocotools() -> None:
    """Raise MissingToolError unless the evaluator can be imported."""
    _import_xtcocotools()


def _import_xtcocotools() -> tuple[Any, Any]:
    """Its COCO and COCOeval. A wheel built against numpy 1 fails with ValueError or AttributeError."""
    try:
        from xtcocotools.coco import COCO
        from xtcocotools.cocoeval import COCOeval
    except (ImportError, ValueError, AttributeError) as error:
        raise MissingToolError(_INSTALL.format(cause=error)) from error
    return COCO, COCOeval
