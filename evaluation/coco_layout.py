"""Checked private copies of COCO-layout dicts: the official evaluators write into what they are given."""

import math
from collections.abc import Sequence
from typing import Any

PERSON = 1


def category_of(ground_truth: dict[str, Any]) -> dict[str, Any]:
    """The category that is scored: the only one that lists keypoints, else persons (1), else the only annotated one.

    Raises ValueError if there is none.
    """
    categories = ground_truth.get("categories", [])
    annotated = {annotation["category_id"] for annotation in ground_truth.get("annotations", [])}
    for candidates in (
        [category for category in categories if category.get("keypoints")],
        [category for category in categories if category["id"] == PERSON],
        [category for category in categories if category["id"] in annotated],
    ):
        if len(candidates) == 1:
            return dict(candidates[0])
    listed = ", ".join(f"{category['id']} ({category.get('name')})" for category in categories) or "none"
    raise ValueError(
        f"ground truth: expected a category with id {PERSON} (person), or one with keypoints, in 'categories'; "
        f"found {listed}"
    )


def copy_ground_truth(
    ground_truth: dict[str, Any], num_keypoints: int, annotation_keys: Sequence[str]
) -> dict[str, Any]:
    """Images, the annotations of `category_of` and this category, copied as deep as the evaluators write.

    Annotations are numbered anew from 1. An evaluator uses the number only to tell matched from unmatched, where
    pycocotools reads an annotation with id 0 as unmatched.
    Raises ValueError naming the image or annotation that lacks what the evaluator reads.
    """
    category = category_of(ground_truth)
    persons = [dict(a) for a in ground_truth.get("annotations", []) if a["category_id"] == category["id"]]
    for image in ground_truth["images"]:
        _require(image, ("id",), "image")
    for number, person in enumerate(persons, start=1):
        _require(person, ("image_id", "keypoints", *annotation_keys), "annotation")
        if len(person["keypoints"]) != 3 * num_keypoints:
            raise ValueError(
                f"annotation {person.get('id')}: expected {num_keypoints} keypoints x 3 = {3 * num_keypoints} numbers, "
                f"found {len(person['keypoints'])}"
            )
        person["id"] = number
    return {"images": [dict(i) for i in ground_truth["images"]], "annotations": persons, "categories": [category]}


def copy_results(
    results: Sequence[dict[str, Any]], ground_truth: dict[str, Any], num_keypoints: int
) -> list[dict[str, Any]]:
    """The four keys of the keypoint results layout, and no others: a `bbox` would change the evaluators' area.

    Raises ValueError for image ids outside the ground truth, for a wrong number of keypoints, for values that are not
    finite (a similarity of nan passes as a match), and if no result is of the ground truth's category.
    """
    known = {image["id"] for image in ground_truth["images"]}
    unknown = sorted({result["image_id"] for result in results} - known)
    if unknown:
        shown = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        raise ValueError(f"results name {len(unknown)} images that the ground truth does not hold: {shown}")
    scored = ground_truth["categories"][0]["id"]
    if results and all(result["category_id"] != scored for result in results):
        raise ValueError(
            f"results are of category {results[0]['category_id']}, the ground truth is of {scored}: none would count"
        )
    for row, result in enumerate(results):
        if len(result["keypoints"]) != 3 * num_keypoints:
            raise ValueError(
                f"result {row} (image {result['image_id']}): expected {num_keypoints} keypoints x 3 = "
                f"{3 * num_keypoints} numbers, received {len(result['keypoints'])}"
            )
        if not all(map(math.isfinite, (result["score"], *result["keypoints"]))):
            raise ValueError(f"result {row} (image {result['image_id']}) holds values that are not finite")
    return [{key: result[key] for key in ("image_id", "category_id", "keypoints", "score")} for result in results]


def _require(entry: dict[str, Any], keys: Sequence[str], what: str) -> None:
    missing = [key for key in keys if entry.get(key) is None]
    if missing:
        raise ValueError(f"{what} {entry.get('id')} of the ground truth lacks {', '.join(missing)}")
