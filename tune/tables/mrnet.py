"""MRHeatNet and MRFeaNet (Tran et al., 2020): tables I and III."""

from tune.table import Cell, Row, Table, coco_scores, labels, pckh_scores


def _coco(method: str, depth: int, *scores: float) -> Row:
    return Row((method, f"ResNet-{depth}", True, *scores), f"{method.lower()}_resnet{depth}_coco_256x192")


def _mpii(method: str, depth: int, *scores: float) -> Row:
    return Row((method, f"ResNet-{depth}", *scores), f"{method.lower()}_resnet{depth}_mpii_256x256")


def _cited(method: str, *scores: float) -> Row:
    return Row((method, None, *scores), why_not="published elsewhere")


_ALONE: tuple[Cell, ...] = (None,) * 9
_CPN = "cpn_resnet50_coco_256x192"

_COCO = Table(
    paper="mrnet",
    number="I",
    title="Comparison on COCO val2017",
    dataset="coco-val2017",
    columns=(*labels("Method", "Backbone", "Pretrain"), *coco_scores()),
    rows=(
        Row(("8-stage Hourglass", "8-stage Hourglass", False, 66.9, *_ALONE), "hourglass_8_coco_256x192"),
        Row(("CPN", "ResNet-50", True, 68.6, *_ALONE), _CPN, ("model.options.hardest=none",)),
        Row(("CPN + OHKM", "ResNet-50", True, 69.4, *_ALONE), _CPN),
        _coco("SimpleBaseline", 50, 70.4, 88.6, 78.3, 67.1, 77.2, 76.3, 92.9, 83.4, 72.1, 82.4),
        _coco("MRHeatNet1", 50, 70.2, 88.5, 77.6, 66.8, 77.2, 76.2, 92.8, 83.0, 71.8, 82.4),
        _coco("MRHeatNet2", 50, 70.3, 88.5, 78.0, 67.2, 77.0, 76.4, 92.9, 83.1, 72.1, 82.4),
        _coco("MRFeaNet1", 50, 70.6, 88.7, 78.1, 67.3, 77.5, 76.5, 92.9, 83.3, 72.1, 82.7),
        _coco("MRFeaNet2", 50, 70.9, 88.8, 78.3, 67.2, 78.1, 76.8, 93.0, 83.6, 72.2, 83.4),
        _coco("SimpleBaseline", 101, 71.4, 89.3, 79.3, 68.1, 78.1, 77.1, 93.4, 84.0, 73.0, 83.2),
        _coco("MRFeaNet2", 101, 71.8, 89.1, 79.6, 68.5, 78.8, 77.8, 93.5, 84.5, 73.5, 84.0),
        _coco("SimpleBaseline", 152, 72.0, 89.3, 79.8, 68.7, 78.9, 77.8, 93.4, 84.6, 73.6, 83.9),
        _coco("MRFeaNet2", 152, 72.6, 89.4, 80.4, 69.4, 79.3, 78.2, 93.4, 85.2, 74.1, 84.2),
    ),
    notes="The paper's boxes have person AP 56.4, and 55.3 for Hourglass and CPN. All inputs are 256x192.",
)

_MPII = Table(
    paper="mrnet",
    number="III",
    title="Comparison on MPII (PCKh@0.5)",
    dataset="mpii-val",
    columns=(*labels("Method", "Backbone"), *pckh_scores(0.5)),
    rows=(
        _cited("Pishchulin et al.", 74.3, 49.0, 40.8, 34.1, 36.5, 34.4, 35.2, 44.1),
        _cited("Tompson et al.", 95.8, 90.3, 80.5, 74.3, 77.6, 69.7, 62.8, 79.6),
        _cited("Carreira et al.", 95.7, 91.7, 81.7, 72.4, 82.8, 73.2, 66.4, 81.3),
        _cited("Tompson et al.", 96.1, 91.9, 83.9, 77.8, 80.9, 72.3, 64.8, 82.0),
        _cited("Hu et al.", 95.0, 91.6, 83.0, 76.6, 81.9, 74.5, 69.5, 82.4),
        _cited("Pishchulin et al.", 94.1, 90.2, 83.4, 77.3, 82.6, 75.7, 68.6, 82.4),
        _cited("Lifshitz et al.", 97.8, 93.3, 85.7, 80.4, 85.3, 76.6, 70.2, 85.0),
        _cited("Gkioxary et al.", 96.2, 93.1, 86.7, 82.1, 85.2, 81.4, 74.1, 86.1),
        _cited("Rafi et al.", 97.2, 93.9, 86.4, 81.3, 86.8, 80.6, 73.4, 86.3),
        _cited("Belagiannis et al.", 97.7, 95.0, 88.2, 83.0, 87.9, 82.6, 78.4, 88.1),
        _cited("Insafutdinov et al.", 96.8, 95.2, 89.3, 84.4, 88.4, 83.4, 78.0, 88.5),
        _cited("Wei et al.", 97.8, 95.0, 88.7, 84.0, 88.4, 82.8, 79.4, 88.5),
        _mpii("SimpleBaseline", 50, 96.4, 95.3, 89.0, 83.2, 88.4, 84.0, 79.6, 88.5),
        _mpii("MRHeatNet1", 50, 96.7, 95.2, 88.9, 83.8, 88.1, 83.6, 78.6, 88.4),
        _mpii("MRHeatNet2", 50, 96.8, 95.5, 88.6, 83.8, 88.5, 83.6, 78.7, 88.5),
        _mpii("MRFeaNet1", 50, 96.5, 95.5, 89.6, 84.3, 88.6, 84.6, 80.6, 89.1),
        _mpii("MRFeaNet2", 50, 96.6, 95.4, 88.9, 83.9, 88.5, 84.6, 80.9, 88.9),
        _mpii("SimpleBaseline", 101, 96.9, 95.9, 89.5, 84.4, 88.4, 84.5, 80.7, 89.1),
        _mpii("MRHeatNet1", 101, 96.7, 95.7, 89.7, 84.4, 89.1, 84.7, 81.4, 89.3),
        _mpii("MRHeatNet2", 101, 97.4, 95.6, 89.3, 84.2, 89.0, 84.9, 81.2, 89.3),
        _mpii("MRFeaNet1", 101, 96.8, 95.6, 89.4, 84.6, 89.2, 85.2, 81.2, 89.4),
        _mpii("MRFeaNet2", 101, 96.6, 95.2, 89.3, 84.2, 89.2, 85.9, 81.6, 89.3),
        _mpii("SimpleBaseline", 152, 97.0, 95.9, 90.0, 85.0, 89.2, 85.3, 81.3, 89.6),
        _mpii("MRHeatNet1", 152, 96.8, 96.0, 90.1, 84.4, 88.9, 85.3, 81.4, 89.5),
        _mpii("MRHeatNet2", 152, 96.9, 95.6, 89.9, 84.6, 88.9, 86.0, 81.2, 89.5),
        _mpii("MRFeaNet1", 152, 97.2, 95.9, 90.2, 85.3, 89.3, 85.4, 82.0, 89.8),
        _mpii("MRFeaNet2", 152, 96.7, 95.4, 89.9, 85.1, 88.8, 85.7, 81.8, 89.5),
    ),
    notes="Rows with a backbone are of the validation samples; those without look like official ones of the test set.",
)

TABLES = (_COCO, _MPII)
