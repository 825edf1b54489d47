"""EFAFNet (Xu, Zou & Lin): tables VI to XII, all on ResNet-50 at 256x192 where the row says nothing else."""

from tune.table import COSTS, Cell, Row, Table, coco_scores, labels, scores

_SBN = "simplebaseline_resnet50_coco_256x192"
_FULL = "efafnet_resnet50_coco_256x192"
_DEFAULT_HARDEST = 8
_DETECTORS = {"faster-rcnn": ("Faster-Rcnn", 56.4), "cpn": ("CPN detections", 57.2)}


def _with(*cells: Cell, **parts: str) -> Row:
    """SimpleBaseline with these parts of the network and no hard keypoint mining (specs 5.9)."""
    options = {"fam": "false", "fsm": "none", "ffm": "false", "duc": "false", "hardest": "none"} | parts
    return Row(cells, _FULL, tuple(f"model.options.{name}={value}" for name, value in options.items()))


def _hardest(count: int, ap: float) -> Row:
    changes = () if count == _DEFAULT_HARDEST else (f"model.options.hardest={count}",)
    return Row((count, ap), _FULL, changes)


def _detected(method: str, recipe: str, detector: str, ap: float) -> Row:
    return Row((method, *_DETECTORS[detector], ap), recipe, detector=detector)


_PARTS = Table(
    paper="efafnet",
    number="VI",
    title="Ablation of each component on COCO minival",
    dataset="coco-val2017",
    columns=(*labels("Method", "FAM", "FSM", "FFM", "DUC"), *coco_scores("AP")),
    rows=(
        Row(("SBN(baseline)", False, False, False, False, 70.4), _SBN),
        _with("SBN+FAM", True, False, False, False, 70.9, fam="true"),
        _with("SBN+FSM", False, True, False, False, 71.5, fsm="parallel"),
        _with("SBN+FFM", False, False, True, False, 70.9, ffm="true"),
        _with("SBN+DUC", False, False, False, True, 70.6, duc="true"),
        Row(("Ours(ensembled)", True, True, True, True, 72.8), _FULL),
    ),
    notes="The last row mines hard keypoints, as its number in table I does; the paper does not say it of the others.",
)

_ARRANGEMENT = Table(
    paper="efafnet",
    number="VII",
    title="Ablation: arrangement of CS and LSS on COCO minival",
    dataset="coco-val2017",
    columns=(*labels("Method", "Arrangement"), *coco_scores("AP")),
    rows=(
        Row(("SBN(baseline)", None, 70.4), _SBN),
        _with("SBN+CS+LSS", "serial CS then LSS", 70.8, fsm="cs_lss"),
        _with("SBN+LSS+CS", "serial LSS then CS", 71.1, fsm="lss_cs"),
        _with("SBN+CS&LSS in parallel", "parallel", 71.5, fsm="parallel"),
    ),
)

_PLACE = Table(
    paper="efafnet",
    number="VIII",
    title="Comparison of FASM at different points",
    dataset="coco-val2017",
    columns=(*labels("Method"), *COSTS, *coco_scores("AP")),
    rows=(
        Row(("SBN", 34.0, 8.9, 70.4), _SBN),
        _with("SBN+FASM-C", 39.28, 10.52, 70.8, fam="true", fsm="parallel", fasm_place="convolution"),
        _with("SBN+FASM(Ours)", 37.0, 9.23, 71.5, fam="true", fsm="parallel"),
    ),
    unit="2^30",
    notes="No arrangement that the text can mean has the printed sizes. 71.5 is also table VI's number for FSM alone.",
)

_BOXES = Table(
    paper="efafnet",
    number="IX",
    title="Pose AP with different human detectors on COCO minival",
    dataset="coco-val2017",
    columns=(*labels("Pose method", "Detector", "Human AP"), *scores({"Pose AP": "AP"}, "Pose AP")),
    rows=(
        _detected("SBN", _SBN, "faster-rcnn", 70.4),
        _detected("CPN", "cpn_resnet50_coco_256x192", "cpn", 69.4),
        Row(("RMPE", "SSD-512", 55.5, 70.3), why_not="published elsewhere"),
        _detected("Ours", _FULL, "faster-rcnn", 72.8),
        _detected("Ours", _FULL, "cpn", 73.5),
    ),
)

_MINING = Table(
    paper="efafnet",
    number="X",
    title="Number of hard keypoints R in online hard keypoint mining",
    dataset="coco-val2017",
    columns=(*labels("R"), *coco_scores("AP")),
    rows=(
        _hardest(7, 71.3),
        _hardest(8, 72.8),
        _hardest(11, 71.2),
        _hardest(13, 71.6),
        _hardest(15, 71.2),
        _hardest(16, 72.3),
    ),
)

_SIZE = Table(
    paper="efafnet",
    number="XI",
    title="Effect of input size",
    dataset="coco-val2017",
    columns=(*labels("Method", "Backbone", "OHKM", "Input size"), *coco_scores("AP")),
    rows=(
        Row(("SBN", None, False, "256x192", 70.4), _SBN),
        Row(("SBN", None, False, "384x288", 72.2), "simplebaseline_resnet50_coco_384x288"),
        Row(("Ours", "ResNet-50", True, "256x192", 72.8), _FULL),
        Row(("Ours", "ResNet-50", True, "256x256", 73.1), "efafnet_resnet50_coco_256x256"),
        Row(("Ours", "ResNet-50", True, "384x288", 73.8), "efafnet_resnet50_coco_384x288"),
    ),
)

_BACKBONES = Table(
    paper="efafnet",
    number="XII",
    title="Comparison of backbones",
    dataset="coco-val2017",
    columns=(*labels("Method", "Backbone", "Input size"), *coco_scores("AP")),
    rows=(
        Row(("8-stage Hourglass", None, "256x192", 66.9), "hourglass_8_coco_256x192"),
        Row(("Ours", "ResNet-50", "384x288", 73.8), "efafnet_resnet50_coco_384x288"),
        Row(("Ours", "ResNet-101", "384x288", 74.5), "efafnet_resnet101_coco_384x288"),
        Row(("Ours", "ResNet-152", "384x288", 75.0), "efafnet_resnet152_coco_384x288"),
    ),
    notes="The paper does not mark its rows as mining hard keypoints; the number of ResNet-50 is the one that does.",
)

TABLES = (_PARTS, _ARRANGEMENT, _PLACE, _BOXES, _MINING, _SIZE, _BACKBONES)
