"""Heatmap-guided bottom-up estimation (Sun, Geng, et al.): tables 2, 4 and 5."""

from tune.table import Cell, Column, Row, Table, coco_scores, labels, scores

_CITED = "published elsewhere"
_LEARNED = "bottomup.grouping.scoring=learned"
_THREE_SCALES = "bottomup.test.scales=[0.5,1,2]"
_UNSCORED = (None,) * 7

_SYSTEMS = {
    "HrHRNet-W32 + AE": ("higherhrnet_w32_{}_512", 512),
    "HrHRNet-W48 + AE": ("higherhrnet_w48_{}_640", 640),
    "Ours (HRNet-W32)": ("guided_hrnet_w32_{}_512", 512),
    "Ours (HRNet-W48)": ("guided_hrnet_w48_{}_640", 640),
    "Ours (HrHRNet-W48)": ("guided_higherhrnet_w48_{}_640", 640),
}


def _run(benchmark: str, testing: str, method: str, *numbers: float | None) -> Row:
    """A system at one scale or three; those of the paper rank poses by learned scores."""
    recipe, side = _SYSTEMS[method]
    test = (_LEARNED,) if method.startswith("Ours") else ()
    if "multi-scale" in testing:
        test = (*test, _THREE_SCALES)
    return Row((testing, method, False, side, *numbers), recipe.format(benchmark), test=test)


def _cited(*cells: Cell) -> Row:
    return Row(cells, why_not=_CITED)


_ONE, _SEVERAL = "single-scale testing", "multi-scale testing"

_COCO = Table(
    paper="bottomup",
    number="2",
    title="Comparison on the COCO validation set",
    dataset="coco-val2017",
    columns=(
        *labels("Testing", "Method", "Refinement", "Input size"),
        *coco_scores("AP", "AP50", "AP75", "APM", "APL", "AR", "ARM", "ARL"),
    ),
    rows=(
        _cited(_ONE, "CenterNet-DLA", False, 512, 58.9, *_UNSCORED),
        _cited(_ONE, "CenterNet-HG", False, 512, 64.0, *_UNSCORED),
        _cited(_ONE, "PifPaf", False, None, 67.4, *_UNSCORED),
        _cited(_ONE, "PersonLab", False, 601, 54.1, 76.4, 57.7, 40.6, 73.3, 57.7, 43.5, 77.4),
        _cited(_ONE, "PersonLab", False, 1401, 66.5, 86.2, 71.9, 62.3, 73.2, 70.7, 65.6, 77.9),
        _run("coco", _ONE, "HrHRNet-W32 + AE", 67.1, 86.2, 73.0, None, None, None, 61.5, 76.1),
        _run("coco", _ONE, "HrHRNet-W48 + AE", 69.9, 87.2, 76.1, None, None, None, 65.4, 76.4),
        _run("coco", _ONE, "Ours (HRNet-W32)", 67.8, 86.8, 74.0, 62.0, 76.4, 72.3, 65.6, 82.0),
        _run("coco", _ONE, "Ours (HRNet-W48)", 70.1, 88.1, 76.0, 65.6, 77.2, 74.8, 69.2, 82.9),
        _run("coco", _ONE, "Ours (HrHRNet-W48)", 71.3, 88.4, 77.0, 67.5, 77.3, 75.8, 70.9, 83.1),
        _cited(_SEVERAL, "Deep body-foot", False, 480, 66.4, *_UNSCORED),
        _run("coco", _SEVERAL, "HrHRNet-W32 + AE", 69.9, 87.1, 76.0, None, None, None, 65.3, 77.0),
        _run("coco", _SEVERAL, "HrHRNet-W48 + AE", 72.1, 88.4, 78.2, None, None, None, 67.8, 78.3),
        _run("coco", _SEVERAL, "Ours (HRNet-W32)", 70.7, 88.0, 76.9, 66.1, 77.7, 75.8, 70.2, 83.8),
        _run("coco", _SEVERAL, "Ours (HRNet-W48)", 72.5, 88.9, 78.7, 68.9, 78.2, 77.7, 72.8, 84.7),
        _run("coco", _SEVERAL, "Ours (HrHRNet-W48)", 72.9, 89.2, 78.8, 69.3, 78.5, 78.2, 73.2, 85.4),
    ),
    notes="In the HrHRNet + AE rows the paper's ARM and ARL equal the APM and APL that are published for HigherHRNet.",
)

_GUIDED = "guided_hrnet_w32_coco_512"
_ABLATED = "guided_hrnet_w32_ablation_{}_coco_512"

_PARTS = Table(
    paper="bottomup",
    number="4",
    title="Ablation: heatmap guidance, tradeoff loss, adaptive representation transformation, scoring",
    dataset="coco-val2017",
    columns=(
        *labels("Heatmap guidance", "Tradeoff loss", "ART", "Scoring"),
        *(
            Column(f"{name} quality AP", "score", "AP", (f"bottomup.grouping.quality={quality}",), plotted=True)
            for name, quality in (("Regression", "regression"), ("Heatmap", "heatmaps"), ("Final", "final"))
        ),
    ),
    rows=(
        Row((False, False, False, False, 59.6, 71.3, 64.5), _ABLATED.format("baseline")),
        Row((True, False, False, False, 60.5, 71.8, 64.9), _ABLATED.format("guidance")),
        Row((True, True, False, False, 61.5, 73.2, 66.2), _ABLATED.format("tradeoff")),
        Row((True, True, True, False, 65.1, 73.3, 67.2), _GUIDED),
        Row((True, True, True, True, 65.1, 73.3, 67.8), _GUIDED, test=(_LEARNED,)),
    ),
    notes="HRNet-W32, input 512, single scale. Learned scores rank the final poses only. The paper's text calls the "
    "baseline's final quality 64.6.",
)

_CROWDPOSE = Table(
    paper="bottomup",
    number="5",
    title="Comparison on the CrowdPose test set",
    dataset="crowdpose-test",
    columns=(
        *labels("Group", "Method", "Refinement", "Input size"),
        *scores(
            {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "APE": "AP_easy", "APM": "AP_medium", "APH": "AP_hard"},
            *("AP", "APH"),
        ),
    ),
    rows=(
        _cited("top-down methods", "Mask R-CNN", False, None, 57.2, 83.5, 60.3, 69.4, 57.9, 45.8),
        _cited("top-down methods", "AlphaPose", False, None, 61.0, 81.3, 66.0, 71.2, 61.4, 51.1),
        _cited("top-down methods", "SPPE", True, None, 66.0, 84.2, 71.5, 75.5, 66.3, 57.4),
        _cited(f"bottom-up methods: {_ONE}", "OpenPose", False, None, None, None, None, 62.7, 48.7, 32.3),
        *(
            _run("crowdpose", f"bottom-up methods: {testing}", method, *numbers)
            for testing, method, *numbers in (
                (_ONE, "HrHRNet-W48 + AE", 65.9, 86.4, 70.6, 73.3, 66.5, 57.9),
                (_ONE, "Ours (HRNet-W32)", 64.9, 84.5, 69.6, 72.7, 65.5, 56.1),
                (_ONE, "Ours (HRNet-W48)", 66.1, 84.6, 71.2, 73.4, 66.9, 57.1),
                (_ONE, "Ours (HrHRNet-W48)", 66.2, 84.9, 71.4, 73.6, 67.0, 57.6),
                (_SEVERAL, "HrHRNet-W48 + AE", 67.6, 87.4, 72.6, 75.8, 68.1, 58.9),
                (_SEVERAL, "Ours (HRNet-W32)", 67.5, 86.1, 72.6, 75.5, 68.2, 58.2),
                (_SEVERAL, "Ours (HRNet-W48)", 68.2, 85.7, 73.4, 75.9, 69.0, 58.9),
                (_SEVERAL, "Ours (HrHRNet-W48)", 68.2, 86.2, 73.6, 75.8, 69.1, 59.1),
            )
        ),
    ),
    notes="APE, APM and APH are those of easy, medium and hard crowding. Trained on train and val together.",
)

TABLES = (_COCO, _PARTS, _CROWDPOSE)
