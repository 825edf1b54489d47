"""The settings of bottom-up estimation: how pictures are shown, what maps are to become, how persons are found."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from engine.frozen import Frozen
from pipelines.bottomup_augmentation import BottomUpAugmentation, Fit
from pipelines.bottomup_samples import PictureChoice
from pose.center_offsets import Overlap, PersonSize
from pose.map_size import Resizing

Quality = Literal["final", "regression", "heatmaps"]
Scoring = Literal["naive", "learned", "learned_alone"]


class TargetConfig(Frozen):
    """What is asked of the maps (specs 3.2, 3.3, 3.9); `heatmap.sigma` and `heatmap.encoding` hold for heatmaps.

    `background` weighs the heatmap loss where no keypoint is (the tradeoff; 1: no tradeoff); each keypoint has its own
    mask unless `common_mask`, as in the public code, has one serve all of them and the centre.

    What is no picture, the black beside it, is background; with `ignore_outside`, as in the public code, losses look
    away from it.

    Centres are drawn with `center_sigma`; offsets are learnt up to `center_radius` around them, for persons of at least
    `center_min_area` image px². Where the surroundings of two centres meet, the nearest or the smaller person counts
    (`overlap`). Offset errors are divided by the box's diagonal or by the root of its area (`offset_scale`).

    `offset_weight`, `pull_weight` and `push_weight` are those of the losses of offsets and tags.
    """

    background: float = Field(default=0.1, ge=0, le=1)
    common_mask: bool = False
    ignore_outside: bool = False
    center_sigma: PositiveFloat = 4.0
    center_radius: PositiveInt = 4
    center_min_area: NonNegativeFloat = 0.0
    overlap: Overlap = "nearest"
    offset_scale: PersonSize = "diagonal"
    offset_weight: NonNegativeFloat = 0.01
    pull_weight: NonNegativeFloat = 1e-3
    push_weight: NonNegativeFloat = 1e-3


class PictureConfig(Frozen):
    """How whole pictures are shown to the network, and how its maps come together.

    The short side becomes `short_side` px (default: that of training's crops), the long side the next multiple of
    `multiple`; or, with `fit` "long", the whole picture lies in a square of that side. Every one of `scales` is looked
    at, times this. With `average_strides` the heatmaps of all strides that the network offers are averaged, else those
    of the finest count.

    `resizing` says how maps grow: "aligned", px i of a map of stride s at input px i·s, as targets are drawn; or
    "half_pixel", its pixels' areas side by side, as HigherHRNet's and the associative embedding's public code does.
    Keypoints are looked for in maps of the size of the input, or without `to_input` in those of the largest scale.
    """

    short_side: PositiveInt | None = None
    fit: Fit = "short"
    multiple: PositiveInt = 64
    scales: tuple[PositiveFloat, ...] = Field(default=(1.0,), min_length=1)
    average_strides: bool = True
    resizing: Resizing = "aligned"
    to_input: bool = True


class GroupingConfig(Frozen):
    """How maps become persons (specs 3.5, 3.6; Newell et al., NeurIPS 2017).

    At most `max_persons` candidates of each keypoint are peaks of at least `threshold` among `pool` x `pool` px; by
    centres as many persons are found at most, by tags those who come later have one keypoint each.

    Networks with centres: regressed poses whose centre exceeds `center_threshold` absorb candidates within `absorb_px`
    input px. `gaussian_refinement` fits a Gaussian at each keypoint. `quality` is what is scored: the "final" poses,
    the "regression" alone, or what the "heatmaps" give when the annotated poses absorb (specs 3.7). `scoring` ranks
    final poses by their heat values ("naive"), by that times what a network says that `posestream score-net` trained
    ("learned"), or by the latter alone; its file is `score_net`, by default the one beside the checkpoint.

    Networks with tags: a candidate joins the person whose tag is nearest if it is less than `tag_threshold` off, by
    `tag_distance`; with `stop_when_full` nothing is grouped any more once there are `max_persons`. With `refine`,
    missing keypoints are looked for again; with `adjust`, all move by a quarter of a px towards the larger neighbour.
    """

    max_persons: int = Field(default=30, ge=1, le=1000)
    threshold: NonNegativeFloat = 0.01
    pool: Literal[3, 5, 7] = 5
    center_threshold: NonNegativeFloat = 0.01
    absorb_px: NonNegativeFloat = 75.0
    gaussian_refinement: bool = True
    quality: Quality = "final"
    scoring: Scoring = "naive"
    score_net: str | None = None
    tag_threshold: PositiveFloat = 1.0
    tag_distance: Literal["euclidean", "rms"] = "euclidean"
    stop_when_full: bool = False
    adjust: bool = True
    refine: bool = True

    @model_validator(mode="after")
    def _named_network_is_used(self) -> Self:
        if self.score_net is not None and self.scoring == "naive":
            raise ValueError(f"score_net={self.score_net} does nothing unless scoring is learned or learned_alone")
        return self


class ScoreNetConfig(Frozen):
    """How `posestream score-net` learns to rank poses (specs 3.6)."""

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 1024
    lr: PositiveFloat = 1e-3
    seed: NonNegativeInt = 0


class BottomUpConfig(Frozen):
    """Present in a recipe whose network looks at whole pictures and finds all persons in them.

    Training's square crops show the short or the long side of a picture (`fit`) at scale 1, of the `pictures` that show
    somebody labelled, anybody annotated, or all.
    """

    fit: Fit = "short"
    pictures: PictureChoice = "labelled"
    augmentation: BottomUpAugmentation = BottomUpAugmentation()
    targets: TargetConfig = TargetConfig()
    test: PictureConfig = PictureConfig()
    grouping: GroupingConfig = GroupingConfig()
    score_net: ScoreNetConfig = ScoreNetConfig()
