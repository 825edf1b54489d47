"""PoseReNet (Xiang, Chen & Zhou): tables I and III."""

from tune.table import COSTS, Row, Table, coco_scores, labels, pckh_scores


def _pair(
    backbone: str, size: str, network: str, costs: tuple[float, float], without: tuple[float, ...], *with_it: float
) -> tuple[Row, Row]:
    """A backbone's rows, without and with the plug-in."""
    return (
        Row((backbone, False, size, *costs, *without), f"{network}_dark_coco_{size}"),
        Row((backbone, True, size, *costs, *with_it), f"{network}_poserenet_coco_{size}"),
    )


_COCO = Table(
    paper="poserenet",
    number="I",
    title="Performance comparison on COCO with and without PoseReNet",
    dataset="coco-val2017",
    columns=(
        *labels("Backbone", "PoseReNet", "Input size"),
        *COSTS,
        *coco_scores("AP", "AP50", "AP75", "APM", "APL", "AR"),
    ),
    rows=(
        *_pair(
            "SimpleBaseline-R50+Dark", "128x96", "simplebaseline_resnet50", (34.0, 2.3),
            (62.6, 86.1, 70.4, 60.4, 67.9, 69.5), 63.1, 88.3, 70.6, 61.6, 65.8, 70.1,
        ),
        *_pair(
            "SimpleBaseline-R101+Dark", "128x96", "simplebaseline_resnet101", (53.0, 3.1),
            (63.2, 86.2, 71.1, 61.2, 68.5, 70.0), 63.9, 89.3, 71.5, 62.4, 68.7, 70.2,
        ),
        *_pair(
            "HRNet-W32+Dark", "128x96", "hrnet_w32", (28.5, 1.8),
            (70.7, 88.9, 78.4, 67.9, 76.6, 76.7), 71.8, 89.7, 79.3, 69.8, 75.3, 75.0,
        ),
        *_pair(
            "HRNet-W48+Dark", "128x96", "hrnet_w48", (63.6, 3.6),
            (71.9, 89.1, 79.6, 69.2, 78.0, 77.9), 73.5, 92.5, 81.5, 71.4, 76.6, 78.3,
        ),
        *_pair(
            "HRNet-W32+Dark", "256x192", "hrnet_w32", (28.5, 7.1),
            (75.6, 90.5, 82.1, 71.8, 82.8, 80.8), 76.2, 90.6, 82.7, 73.2, 82.0, 80.9,
        ),
    ),
    unit="2^30",
    notes="The paper says COCO only; its rows without PoseReNet are published ones of val2017.",
)  # fmt: skip

_MPII = Table(
    paper="poserenet",
    number="III",
    title="Comparison on MPII",
    dataset="mpii-val",
    columns=(*labels("Method", "PoseReNet"), *pckh_scores(0.5)),
    rows=(
        Row(("HRNet-W32", False, 97.1, 95.9, 90.3, 86.5, 89.1, 87.1, 83.3, 90.3), "hrnet_w32_mpii_256x256"),
        Row(
            ("Ours(HRNet-W32+PoseReNet)", True, 97.1, 96.1, 90.8, 86.2, 89.4, 86.7, 83.4, 90.4),
            "hrnet_w32_poserenet_mpii_256x256",
        ),
    ),
    notes="The paper does not name the split; its row of HRNet-W32 is the published one of the validation samples.",
)

TABLES = (_COCO, _MPII)
