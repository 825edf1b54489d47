"""Sizes that the papers print are the sizes that are counted, unless a reason is given."""

import pytest

from models import list_models, list_plugins
from models.paper_costs import PAPER_COSTS, UNITS, PaperCost, counted

PRINTED = [row for row in PAPER_COSTS if row.params is not None]


def agree(value: float, printed: str) -> bool:
    """Whether the value rounds to the printed digits."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row.name} {row.source}")
def test_what_is_printed_is_what_is_counted_unless_a_reason_is_given(row: PaperCost) -> None:
    cost = counted(row)
    assert row.params is not None
    assert row.macs is not None
    same = agree(cost.params / 1e6, row.params), agree(cost.macs_dense / UNITS[row.unit], row.macs)
    if row.differs is None:
        assert same == (True, True), cost
    else:
        assert same != (True, True), "it agrees: the reason is not needed"
        # No other reason explains more than this; the hourglass is the furthest.
        assert "twice" in row.differs or cost.params / 1e6 == pytest.approx(float(row.params), rel=0.03)
        assert cost.macs_dense / UNITS[row.unit] == pytest.approx(float(row.macs), rel=0.4)


def test_the_rows_are_distinct_systems_of_known_networks() -> None:
    keys = [(row.name, row.crop_size, row.num_keypoints, row.source) for row in PAPER_COSTS]
    assert len(set(keys)) == len(keys)
    assert {row.network for row in PAPER_COSTS} <= set(list_models())
    assert {row.plugin for row in PAPER_COSTS if row.plugin is not None} == set(list_plugins())
    assert all((row.params is None) == (row.macs is None) for row in PAPER_COSTS)
    assert all(row.params is not None for row in PAPER_COSTS if row.differs is not None)


def test_every_network_of_the_papers_has_a_row() -> None:
    families = {name.split("_")[0] for name in list_models()}
    assert {row.network.split("_")[0] for row in PAPER_COSTS} == families


def test_what_counts_every_parameter_twice_has_twice_the_parameters() -> None:
    rows = [row for row in PRINTED if row.differs is not None and "twice" in row.differs]
    assert {row.network for row in rows} == {"ae_hourglass_4"}
    assert [row.params for row in rows] == ["277.8", "227.8"]
    assert agree(2 * counted(rows[0]).params / 1e6, "277.8")
    assert all(agree(counted(row).macs / UNITS[row.unit], str(row.macs)) for row in rows)


@pytest.mark.parametrize("row", [row for row in PRINTED if row.network.startswith("guided")], ids=lambda row: row.name)
def test_the_bottom_up_paper_counts_one_branch_without_transforms(row: PaperCost) -> None:
    """Of three. Each has two 3x3 convolutions whose taps are moved, and two that say by how much."""
    width = int(row.network[-2:])
    weights = 2 * (2 * 9 * width * width) + 3 * (2 * 9 * width * 4)
    if "higher" in row.network:
        weights += 2 * (width * row.num_keypoints)  # here each branch makes heatmaps of its own
    macs = counted(row).macs_dense - weights * (row.crop_size[0] // 4) ** 2
    assert agree(macs / UNITS[row.unit], str(row.macs))


# Counted on the released code, or by hand from the paper (specs 1.6, 2.1, 3.8, 4.6, 5.8): parameters, dense MACs / 1e9.
COUNTED = {
    "mrheatnet1_resnet50": (34_017_785, 9.676),
    "mrheatnet2_resnet50": (34_022_409, 9.690),
    "mrfeanet1_resnet50": (41_341_265, 22.54),
    "mrfeanet2_resnet50": (80_141_137, 42.67),
    "efafnet_resnet50 fam=True fsm=None ffm=False duc=False": (34_141_785, 9.817),
    "efafnet_resnet50 ffm=False duc=False": (36_687_929, 9.825),
    "efafnet_resnet50 ffm=False duc=False fasm_place=convolution": (39_203_817, 9.827),
    "simplebaseline_resnet50 + enhancenet channels=64 (alone)": (211_408, 0.648),
    "simplebaseline_resnet50 + enhancenet upscale=deconv12 (alone)": (496_017, 15.962),
    "ae_hourglass_4 + enhancenet": (138_893_840 + 496_272, 222.210 + 8.122),
    "higherhrnet_w32": (28_645_331, 47.864),
    "higherhrnet_w48": (63_827_139, 154.305),
    "guided_higherhrnet_w48": (66_895_941, 181.948),
}


@pytest.mark.parametrize("name", COUNTED)
def test_sizes_counted_elsewhere(name: str) -> None:
    (row,) = (row for row in PAPER_COSTS if row.name == name)
    cost, (params, macs) = counted(row), COUNTED[name]
    assert cost.params == params
    assert cost.macs_dense / 1e9 == pytest.approx(macs, rel=5e-4)


def test_a_system_with_a_plugin_costs_both() -> None:
    (row,) = (row for row in PAPER_COSTS if row.plugin == "poserenet" and row.network.endswith("50"))
    assert counted(row).params == 33_999_697 + 13_413
