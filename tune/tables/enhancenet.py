"""EnhanceNet (Liu et al., ECAI 2020): tables 1 and 3 to 5."""

from tune.table import COSTS, Cell, Row, Table, coco_scores, labels, pckh_scores

_SBN = "simplebaseline_resnet50_enhancenet_coco_256x192"
_OF_ABLATION = coco_scores("AP", "AP50", "AP75", "AR")


def _pair(method: str, recipe: str, without: tuple[float, ...], with_it: tuple[float, ...]) -> tuple[Row, Row]:
    """A network's rows; `recipe` has a place for the plug-in."""
    return (
        Row((method, False, *without), recipe.format("")),
        Row((method, True, *with_it), recipe.format("_enhancenet")),
    )


def _mpii(method: str, network: str, without: tuple[float, ...], with_it: tuple[float, ...]) -> tuple[Row, Row]:
    return _pair(method, f"{network}{{}}_mpii_256x256", without, with_it)


def _coco(method: str, network: str, without: tuple[float, ...], with_it: tuple[float, ...]) -> tuple[Row, Row]:
    return _pair(method, f"{network}{{}}_coco_256x192", without, with_it)


def _options(*cells: Cell, **options: object) -> Row:
    """A row of table 5: EnhanceNet on SimpleBaseline with these options."""
    return Row(cells, _SBN, tuple(f"model.plugin_options.{name}={value}" for name, value in options.items()))


_MPII = Table(
    paper="enhancenet",
    number="1",
    title="Improvement of PCKh@0.5 when EnhanceNet is added to single-person methods",
    dataset="mpii-val",
    columns=(*labels("Method", "EnhanceNet"), *pckh_scores(0.5)),
    rows=(
        *_mpii(
            "Hourglass (2 stage)",
            "hourglass_2",
            (96.08, 94.74, 88.24, 82.87, 86.91, 81.95, 78.44, 87.14),
            (95.7, 95.14, 89.13, 84.0, 87.35, 84.12, 79.38, 87.96),
        ),
        *_mpii(
            "Hourglass (4 stage)",
            "hourglass_4",
            (96.49, 95.5, 88.99, 84.46, 87.43, 84.65, 80.21, 88.34),
            (96.73, 95.57, 89.76, 85.06, 88.51, 84.42, 81.03, 88.81),
        ),
        *_mpii(
            "Hourglass (8 stage)",
            "hourglass_8",
            (96.79, 95.28, 90.27, 85.56, 87.57, 84.3, 81.06, 88.78),
            (96.79, 95.41, 90.3, 85.41, 88.14, 84.85, 81.25, 89.03),
        ),
        *_mpii(
            "DLCM",
            "dlcm",
            (96.78, 96.03, 90.88, 86.96, 89.74, 86.9, 82.57, 90.37),
            (97.53, 96.25, 91.26, 86.89, 90.36, 86.9, 83.61, 90.78),
        ),
    ),
)

_FINE = Table(
    paper="enhancenet",
    number="3",
    title="Improvement of PCKh@0.1 when EnhanceNet is added to DLCM",
    dataset="mpii-val",
    columns=(*labels("Method", "EnhanceNet"), *pckh_scores(0.1)),
    rows=_mpii(
        "DLCM",
        "dlcm",
        (49.74, 39.88, 39.54, 38.89, 17.34, 27.67, 28.84, 35.0),
        (53.84, 42.48, 43.43, 40.67, 18.4, 29.34, 31.44, 37.55),
    ),
    notes="Ours is PCKh at exactly 0.1; many public evaluations print 0.11 under this name.",
)

_COCO = Table(
    paper="enhancenet",
    number="4",
    title="Improvement of AP when EnhanceNet is added to multi-person methods (val2017)",
    dataset="coco-val2017",
    columns=(*labels("Method", "EnhanceNet"), *coco_scores("AP", "AP50", "AP75", "APM", "APL", "AR")),
    rows=(
        *_pair(
            "Associative Embedding",
            "ae_hourglass_4{}_coco_512",
            (53.3, 77.0, 57.7, 43.3, 69.1, 60.7),
            (55.3, 77.9, 60.4, 45.4, 70.7, 62.5),
        ),
        *_coco(
            "CPN (ResNet-50)",
            "cpn_resnet50",
            (69.1, 87.7, 76.2, 65.7, 76.0, 76.5),
            (70.0, 87.5, 76.9, 67.2, 76.5, 77.7),
        ),
        *_coco(
            "CPN (ResNet-101)",
            "cpn_resnet101",
            (69.7, 87.7, 76.9, 66.6, 76.3, 77.0),
            (70.5, 87.7, 77.6, 67.7, 76.7, 78.0),
        ),
        *_coco(
            "SimpleBaseline (ResNet-50)",
            "simplebaseline_resnet50",
            (70.2, 88.7, 77.7, 67.0, 76.9, 76.1),
            (71.3, 88.9, 78.5, 68.0, 77.9, 77.1),
        ),
        *_coco(
            "SimpleBaseline (ResNet-101)",
            "simplebaseline_resnet101",
            (71.4, 89.2, 79.1, 68.1, 78.2, 77.2),
            (72.1, 89.2, 79.4, 68.6, 79.0, 77.8),
        ),
        *_coco(
            "HRNet (HRNet-W32)",
            "hrnet_w32",
            (74.3, 89.9, 81.6, 70.8, 81.0, 79.7),
            (75.1, 90.4, 82.1, 71.6, 81.6, 80.3),
        ),
        *_coco(
            "HRNet (HRNet-W48)",
            "hrnet_w48",
            (75.0, 90.4, 82.2, 71.3, 82.1, 80.4),
            (75.8, 90.6, 82.5, 72.1, 82.7, 81.0),
        ),
    ),
    notes="The paper's boxes are SimpleBaseline's detections, person AP 56.4.",
)

_INPUT = Table(
    paper="enhancenet",
    number="5a",
    title="Ablation: input of EnhanceNet",
    dataset="coco-val2017",
    columns=(*labels("M_LR", "F_LR"), *_OF_ABLATION),
    rows=(
        _options(False, True, 71.0, 88.7, 78.3, 76.7, input="features"),
        _options(True, False, 71.1, 88.9, 78.3, 77.0, input="heatmaps"),
        _options(True, True, 71.3, 88.9, 78.5, 77.1),
    ),
    notes="SimpleBaseline ResNet-50, 256x192.",
)

_CHANNELS = Table(
    paper="enhancenet",
    number="5b",
    title="Ablation: number of channels C",
    dataset="coco-val2017",
    columns=(*labels("C"), *COSTS, *_OF_ABLATION),
    rows=(
        _options(64, 0.21, 0.65, 70.8, 88.7, 78.2, 76.7, channels=64),
        _options(128, 0.5, 1.52, 71.3, 88.9, 78.5, 77.1),
        _options(256, 1.29, 3.95, 71.4, 89.0, 78.5, 77.2, channels=256),
    ),
    plugin_alone=True,
    notes="SimpleBaseline ResNet-50, 256x192, r=4.",
)

_UPSCALING = Table(
    paper="enhancenet",
    number="5c",
    title="Ablation: upscaling layer",
    dataset="coco-val2017",
    columns=(*labels("Upscaling layer", "C_in", "C_out", "Kernel size"), *COSTS, *_OF_ABLATION),
    rows=(
        _options("bilinear + conv", 128, 17, "3x3", 0.2, 1.52, 70.9, 88.9, 78.2, 76.8, upscale="bilinear"),
        _options("deconv", 128, 17, "3x3", 0.2, 1.52, 70.8, 88.8, 78.1, 76.6, upscale="deconv3"),
        _options("deconv", 128, 17, "12x12", 0.5, 15.96, 71.2, 88.7, 78.5, 76.9, upscale="deconv12"),
        _options("sub-pixel", 128, 272, "3x3", 0.5, 1.52, 71.3, 88.9, 78.5, 77.1),
    ),
    plugin_alone=True,
    notes="SimpleBaseline ResNet-50, 256x192. The paper's sizes are those of all three layers.",
)

_RATIO = Table(
    paper="enhancenet",
    number="5d",
    title="Ablation: upscaling ratio r",
    dataset="coco-val2017",
    columns=(*labels("r"), *COSTS, *_OF_ABLATION),
    rows=(
        Row((None, None, None, 70.2, 88.7, 77.7, 76.1), "simplebaseline_resnet50_coco_256x192"),
        _options(2, 0.26, 0.8, 70.4, 88.8, 78.4, 76.3, ratio=2),
        _options(3, 0.36, 1.1, 71.0, 88.6, 78.5, 76.7, ratio=3),
        _options(4, 0.5, 1.52, 71.3, 88.9, 78.5, 77.1),
        _options(5, 0.67, 2.06, 71.2, 88.8, 78.6, 77.0, ratio=5),
    ),
    plugin_alone=True,
    notes="SimpleBaseline ResNet-50, 256x192, C=128. The row without r has no EnhanceNet.",
)

TABLES = (_MPII, _FINE, _COCO, _INPUT, _CHANNELS, _UPSCALING, _RATIO)
