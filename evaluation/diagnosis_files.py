"""Results and annotations from disk, in COCO layout, of any framework; and which benchmark's layout they are in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.coco_layout import PERSON
from evaluation.diagnosis import KINDS, Diagnosis, diagnose
from evaluation.fast_oks_columns import BadFileError
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, Skeleton

_MPII = "is in MPII's layout, which has no OKS; `posestream evaluate` gives its PCKh and its curves"


def diagnose_files(
    results: Sequence[Path | str], annotations: Path | str, skeleton: Skeleton | None = None, kind: str | None = None
) -> dict[str, Diagnosis]:
    """`diagnose` of results files of the same annotations, by names: as much of each path as tells them apart.

    Skeleton and kind are told from the annotations unless they are given.
    Raises BadFileError (a UserError) that names the file, the row and the key.
    """
    truth = read_annotations(annotations)
    told_skeleton, told_kind = layout_of(truth, str(annotations), skeleton, kind)
    return {
        name: diagnose(truth, read_results(path), told_skeleton, told_kind, (str(annotations), str(path)))
        for name, path in _named(results).items()
    }


def read_annotations(path: Path | str) -> dict[str, Any]:
    """The COCO-layout object of a file. Raises BadFileError."""
    content = _read_json(path)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "joints" in content[0]:
        raise BadFileError(f"{path} {_MPII}")
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise BadFileError(
            f"{path}: expected annotations in COCO layout, an object with the lists images, annotations and "
            f"categories, found {_described(content)}; results come first, annotations after --annotations"
        )
    return content


def read_results(path: Path | str) -> list[dict[str, Any]]:
    """The list of a results file. Raises BadFileError."""
    content = _read_json(path)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "joints" in content[0]:
        raise BadFileError(f"{path} {_MPII}")
    if not isinstance(content, list):
        raise BadFileError(
            f"{path}: expected a list of results, each with image_id, category_id, keypoints (x, y, score of each) and "
            f"score, found {_described(content)}"
        )
    return content


def layout_of(
    ground_truth: dict[str, Any], source: str, skeleton: Skeleton | None = None, kind: str | None = None
) -> tuple[Skeleton, str]:
    """Skeleton and kind ("coco", "crowdpose") by the number of keypoints; what is given goes before what is found.

    Raises BadFileError where neither tells, naming `source`, and ValueError for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"unknown layout {kind!r}; known: {', '.join(KINDS)}")
    if skeleton is None:
        skeleton = {"coco": COCO_17, "crowdpose": CROWDPOSE_14}[kind] if kind else _told_skeleton(ground_truth, source)
    return skeleton, kind or ("crowdpose" if skeleton == CROWDPOSE_14 else "coco")


def _told_skeleton(ground_truth: dict[str, Any], source: str) -> Skeleton:
    count = _num_keypoints(ground_truth)
    if count is None:
        raise BadFileError(f"{source}: no category and no annotation tells the number of keypoints; give a skeleton")
    if count == MPII_16.num_keypoints:
        raise BadFileError(f"{source}: 16 keypoints: {_MPII}; or give a --skeleton with OKS sigmas")
    known = {skeleton.num_keypoints: skeleton for skeleton in (COCO_17, CROWDPOSE_14)}
    if count not in known:
        raise BadFileError(
            f"{source} has persons of {count} keypoints; 17 (COCO) and 14 (CrowdPose) are known by their number. Give "
            "the others by --skeleton FILE, a JSON with names, mirror pairs and OKS sigmas"
        )
    return known[count]


def _num_keypoints(ground_truth: dict[str, Any]) -> int | None:
    for annotation in ground_truth["annotations"]:
        if isinstance(annotation, dict) and isinstance(annotation.get("keypoints"), list):
            return len(annotation["keypoints"]) // 3
    for category in ground_truth.get("categories") or []:
        if isinstance(category, dict) and category.get("id") == PERSON and isinstance(category.get("keypoints"), list):
            return len(category["keypoints"])
    return None


def _read_json(path: Path | str) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        hint = f" A .mat file of predictions {_MPII}." if Path(path).suffix == ".mat" else ""
        raise BadFileError(f"{path} is not JSON: {error}.{hint}") from error


def _named(paths: Sequence[Path | str]) -> dict[str, Path | str]:
    for last in range(1, max(len(Path(path).absolute().parts) for path in paths) + 1):
        names = {"/".join(Path(path).absolute().with_suffix("").parts[-last:]): path for path in paths}
        if len(names) == len(paths):
            return names
    raise BadFileError(f"one results file is given twice: {', '.join(map(str, paths))}")


def _described(content: Any) -> str:
    if isinstance(content, dict):
        return "an object with " + (", ".join(map(str, list(content)[:8])) or "nothing in it")
    return f"a list of {len(content)}" if isinstance(content, list) else str(content)[:60]
