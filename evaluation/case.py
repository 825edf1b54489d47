"""A picture of an evaluation, and the persons who were predicted or annotated in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import FiniteFloat, PositiveInt


@dataclass(frozen=True)
class CasePerson:
    """A person that was predicted or annotated.

    Attributes:
        kind: "predicted" (and matched), "background" or "duplicate"; "annotated" (and matched) or "missed".
        id: row of the results, or id of the annotation.
        score: of a prediction. box_xywh: px.
        keypoints: K x (x, y, score or visibility), px of the original picture; predictions with score 0 and
            annotations with visibility 0 are not there.
        oks: with the matched person. errors: type by index of the keypoint; right ones are not in it.
    """

    kind: str
    id: int
    score: FiniteFloat | None
    box_xywh: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None
    keypoints: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat], ...]
    oks: FiniteFloat | None
    errors: Mapping[int, str]

    @property
    def is_truth(self) -> bool:
        return self.kind in ("annotated", "missed")


@dataclass(frozen=True)
class Case:
    """A picture and who is in it.

    Attributes:
        width, height: px of the original picture.
        picture, heatmap: names of a JPEG, and of a PNG with alpha of the same size, in the folder of the cases.
        rank: why it was chosen: "worst", "median", or "most ERROR".
        counts: how often each type of error occurs. value: in [0, 1], such as its mean OKS; more is better.
    """

    image_id: int
    file_name: str
    width: PositiveInt
    height: PositiveInt
    picture: str
    heatmap: str | None
    rank: str
    persons: tuple[CasePerson, ...]
    counts: Mapping[str, int]
    value: FiniteFloat
