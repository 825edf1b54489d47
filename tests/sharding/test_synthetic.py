"""Rendered people: honest truth about every person, and files that the field's readers accept."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16
from sharding.synthetic import Scene, SyntheticFiles, SyntheticPerson, render_scene, write_dataset
from sharding.synthetic.annotators import annotated_persons, labelled_keypoints
from sharding.synthetic.canvas import BACKGROUND, THING, Canvas, blank_canvas, solid
from sharding.synthetic.cast import make_actor
from sharding.synthetic.coco_layout import mask_polygons, run_lengths
from sharding.synthetic.crowdpose_layout import crowd_index
from sharding.synthetic.outfit import sample_outfit
from sharding.synthetic.poses import neutral_pose
from sharding.synthetic.scene import describe_people, paint_actors
from sharding.synthetic.surfaces import Surface, capsule, ellipsoid, frustum

SEED = 4
NUM_IMAGES = 60


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(SEED, index) for index in range(NUM_IMAGES)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SyntheticFiles]:
    root = tmp_path_factory.mktemp("synthetic")
    done: dict[str, SyntheticFiles] = {}

    def write(layout: str) -> SyntheticFiles:
        if layout not in done:
            done[layout] = write_dataset(layout, root / layout, NUM_IMAGES, SEED, workers=1)
        return done[layout]

    return write


def all_persons(scenes: list[Scene]) -> list[SyntheticPerson]:
    return [person for scene in scenes for person in scene.persons]


def empty_canvas(size: tuple[int, int] = (300, 200)) -> Canvas:
    return blank_canvas(np.full((*size, 3), 150.0), np.array([-0.5, -0.6, -0.8]), 0.5)


def lone_person(yaw: float, canvas: Canvas, hide: Callable[[Canvas], None] = lambda canvas: None) -> SyntheticPerson:
    """One upright person 240 px tall in a 300 x 200 px picture, depth 0."""
    rng = np.random.default_rng(1)
    actor = make_actor(neutral_pose(), sample_outfit(rng), rng, 240, (100.0, 285.0), 0.0, yaw)
    paint_actors(canvas, [actor], rng)
    hide(canvas)
    return describe_people(canvas, [actor])[0]


def hide_behind_a_slit(canvas: Canvas) -> None:
    mask = np.ones(canvas.size, bool)
    mask[200:203] = False
    canvas.paint_flat((0, 0), mask, -500, THING, np.zeros(3))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def surface_mask(surface: Surface | None, size: tuple[int, int]) -> np.ndarray:
    assert surface is not None
    mask = np.zeros(size, bool)
    mask.ravel()[surface.pixels] = True
    return mask


# --- determinism -----------------------------------------------------------------------------------------------------


def test_bytes_do_not_depend_on_workers(tmp_path: Path) -> None:
    write_dataset("coco", tmp_path / "one", 5, seed=9, workers=1)
    write_dataset("coco", tmp_path / "two", 5, seed=9, workers=2)
    one = files_of(tmp_path / "one")
    assert one == files_of(tmp_path / "two")
    assert sorted(one) == ["annotations/person_keypoints.json"] + [f"images/{i:012d}.jpg" for i in range(1, 6)]


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few, more = write_dataset("coco", tmp_path / "few", 2, 9, 1), write_dataset("coco", tmp_path / "more", 4, 9, 1)
    assert files_of(few.images).items() <= files_of(more.images).items()
    rows = [json.loads(files.annotations.read_text())["annotations"] for files in (few, more)]
    assert rows[0] == rows[1][: len(rows[0])]


def test_seed_and_index_both_matter() -> None:
    images = [render_scene(seed, index).image.tobytes() for seed, index in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert len(set(images)) == 3
    assert images[0] == images[3]


# --- truth about persons ---------------------------------------------------------------------------------------------


def test_labelled_keypoints_are_inside_and_the_others_are_zero(scenes: list[Scene]) -> None:
    for scene in scenes:
        height, width = scene.image.shape[:2]
        for person in scene.persons:
            for x, y, visibility in person.keypoints.values():
                if visibility:
                    assert 0 <= x <= width - 1
                    assert 0 <= y <= height - 1
                else:
                    assert (x, y) == (0, 0)


def test_visible_keypoints_lie_on_the_person(scenes: list[Scene]) -> None:
    counts = np.zeros(3, int)
    for person in all_persons(scenes):
        for x, y, visibility in person.keypoints.values():
            counts[visibility] += 1
            assert visibility < 2 or person.mask[round(y), round(x)]
    assert (counts > 0.05 * counts.sum()).all(), f"hidden, covered, visible: {counts}"


def test_boxes_and_areas_agree_with_masks(scenes: list[Scene]) -> None:
    for person in all_persons(scenes):
        x, y, width, height = person.box_xywh
        outside = person.mask.copy()
        outside[y : y + height, x : x + width] = False
        inside = person.mask[y : y + height, x : x + width]
        assert person.area == inside.sum()
        assert not outside.any()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_persons_share_no_pixel_and_lie_in_their_full_box(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert sum((person.mask.astype(int) for person in scene.persons), np.zeros((1, 1), int)).max() <= 1
    for person in (person for scene in scenes for person in annotated_persons(scene)):
        x, y, width, height = person.full_box_xywh
        rows, columns = np.nonzero(person.mask)
        inside = (columns >= x) & (columns <= x + width) & (rows >= y) & (rows <= y + height)
        assert inside.mean() > 0.8  # hair and backpack reach beyond the skeleton


def test_front_view() -> None:
    person = lone_person(0, empty_canvas())
    for pair in ("shoulder", "hip", "wrist", "knee", "eye", "ear"):
        assert person.keypoints[f"left_{pair}"][0] > person.keypoints[f"right_{pair}"][0]
    assert {visibility for _, _, visibility in person.keypoints.values()} == {2}


def test_back_view_mirrors_the_body_and_hides_the_face() -> None:
    person = lone_person(180, empty_canvas())
    for pair in ("shoulder", "hip", "wrist", "knee", "eye", "ear"):
        assert person.keypoints[f"left_{pair}"][0] < person.keypoints[f"right_{pair}"][0]
    assert [person.keypoints[name][2] for name in ("nose", "left_eye", "right_eye")] == [1, 1, 1]


def test_profile_hides_the_far_side() -> None:
    person = lone_person(90, empty_canvas())  # faces the left edge of the picture, left side towards the camera
    assert person.keypoints["nose"][0] < person.keypoints["head_top"][0]
    for name in ("shoulder", "ear", "eye"):
        assert person.keypoints[f"left_{name}"][2] == 2
        assert person.keypoints[f"right_{name}"][2] == 1
    assert person.keypoints["right_hip"][2] == 1


@pytest.mark.parametrize("yaw", [70, 110])
def test_a_joint_behind_the_own_trunk_is_hidden_although_the_trunk_is_adjacent(yaw: float) -> None:
    person = lone_person(yaw, empty_canvas())
    assert person.mask[tuple(round(value) for value in person.keypoints["right_shoulder"][1::-1])]
    assert [person.keypoints[f"right_{name}"][2] for name in ("shoulder", "hip")] == [1, 1]


def test_front_and_back_look_different() -> None:
    front, back = empty_canvas(), empty_canvas()
    lone_person(0, front)
    lone_person(180, back)
    shared = (front.owner > 0) & (back.owner > 0)
    assert (np.abs(front.colour - back.colour)[shared].max(axis=1) > 20).mean() > 0.1


def test_something_in_front_hides_every_keypoint_but_not_the_coordinates() -> None:
    free, hidden = lone_person(0, empty_canvas()), lone_person(0, empty_canvas(), hide_behind_a_slit)
    assert {visibility for _, _, visibility in hidden.keypoints.values()} == {1}
    assert [point[:2] for point in hidden.keypoints.values()] == [point[:2] for point in free.keypoints.values()]
    assert hidden.area < 0.05 * free.area


def test_something_behind_hides_nothing() -> None:
    def wall(canvas: Canvas) -> None:
        canvas.paint_flat((0, 0), np.ones(canvas.size, bool), 500, THING, np.zeros(3))

    assert lone_person(0, empty_canvas(), wall).keypoints == lone_person(0, empty_canvas()).keypoints


def test_a_picture_border_cuts_keypoints_off() -> None:
    person = lone_person(0, empty_canvas((200, 200)))
    assert person.keypoints["left_ankle"] == (0, 0, 0)
    assert person.keypoints["nose"][2] == 2
    assert sum(person.full_box_xywh[1::2]) > 200


# --- surfaces and the depth buffer -----------------------------------------------------------------------------------


def test_the_nearer_surface_wins_in_any_order() -> None:
    near = ellipsoid(np.array([20.0, 20, 0]), np.eye(3), np.full(3, 6.0), (40, 40))
    far = ellipsoid(np.array([24.0, 20, 30]), np.eye(3), np.full(3, 9.0), (40, 40))
    pictures = []
    for order in ((1, 2), (2, 1)):
        canvas = empty_canvas((40, 40))
        for owner in order:
            canvas.paint({1: near, 2: far}[owner], owner, solid(np.full(3, 60.0 * owner)))
        assert (canvas.owner[20, 20], canvas.owner[20, 31], canvas.owner[20, 38]) == (1, 2, BACKGROUND)
        pictures.append(canvas.colour.copy())
    np.testing.assert_array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("centre", [(30, 20), (30.5, 20.5)])
def test_integer_coordinates_are_pixel_centres(centre: tuple[float, float]) -> None:
    middle, down = np.array([*centre, 0.0]), np.array([0.0, 8, 0])
    solids = (
        ellipsoid(middle, np.eye(3), np.array([4.3, 6.2, 5]), (50, 60)),
        capsule(middle - down, middle + down, (4.3, 4.3), (50, 60)),
        frustum(middle + down, np.eye(3), 16.0, (5.3, 5.3), 0.7, (50, 60)),
    )
    for surface in solids:
        rows, columns = np.nonzero(surface_mask(surface, (50, 60)))
        assert (columns.mean(), rows.mean()) == pytest.approx(centre, abs=1e-9)


def test_ellipsoid_depth_and_normal() -> None:
    surface = ellipsoid(np.array([10.0, 10, 50]), np.eye(3), np.array([5.0, 5, 8]), (20, 20))
    assert surface is not None
    middle = int(np.flatnonzero(surface.pixels == 10 * 20 + 10)[0])
    assert surface.depth[middle] == pytest.approx(42)
    np.testing.assert_allclose(surface.normal[middle], [0, 0, -1], atol=1e-6)


# --- files -----------------------------------------------------------------------------------------------------------


def test_coco_file_loads_and_agrees_with_the_scenes(
    written: Callable[[str], SyntheticFiles], scenes: list[Scene]
) -> None:
    files = written("coco")
    coco = COCO(str(files.annotations))
    assert coco.loadCats([1])[0]["keypoints"] == list(COCO_17.keypoint_names)
    for index, scene in enumerate(scenes):
        image = coco.loadImgs([index + 1])[0]
        assert cv2.imread(str(files.images / image["file_name"])).shape == (image["height"], image["width"], 3)
        rows = coco.loadAnns(coco.getAnnIds([index + 1], iscrowd=0))
        persons = annotated_persons(scene)
        assert len(rows) == len(persons)
        for row, person in zip(rows, persons, strict=True):
            keypoints = np.array(row["keypoints"]).reshape(17, 3)
            assert row["num_keypoints"] == (keypoints[:, 2] > 0).sum()
            assert row["area"] == person.area >= 150
            seen = (person.keypoints_of(COCO_17)[:, 2] == 2).any()
            np.testing.assert_allclose(keypoints, person.keypoints_of(COCO_17) * seen, atol=0.006)


def test_coco_crowd_regions(written: Callable[[str], SyntheticFiles], scenes: list[Scene]) -> None:
    coco = COCO(str(written("coco").annotations))
    rows = coco.loadAnns(coco.getAnnIds(iscrowd=1))
    regions = [region for scene in scenes for region in scene.crowds]
    assert len(rows) == len(regions) > 0
    for row, region in zip(rows, regions, strict=True):
        np.testing.assert_array_equal(coco.annToMask(row).astype(bool), region.mask)
        assert row["area"] == region.area
        assert row["num_keypoints"] == 0
    assert not any((region.mask & person.mask).any() for s in scenes for region in s.crowds for person in s.persons)


def test_polygons_give_the_mask_back(scenes: list[Scene]) -> None:
    for person in (person for scene in scenes[:20] for person in annotated_persons(scene)):
        polygons = mask_polygons(person.mask, person.box_xywh)
        filled = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *person.mask.shape))).astype(bool)
        contours, _ = cv2.findContours(person.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        no_holes = cv2.drawContours(np.zeros(person.mask.shape, np.uint8), contours, -1, 1, -1).astype(bool)
        assert (filled & no_holes).sum() / (filled | no_holes).sum() > 0.95


@pytest.mark.parametrize("first", [False, True])
def test_run_lengths_start_with_unset_pixels(first: bool) -> None:
    mask = np.array([[first, True], [False, True], [True, False]])
    counts = run_lengths(mask)
    assert counts == ([0, 1, 1, 3, 1] if first else [2, 3, 1])


def test_mpii_files_agree_with_coco_plus_one(written: Callable[[str], SyntheticFiles]) -> None:
    mpii = json.loads(written("mpii").annotations.read_text())
    coco = json.loads(written("coco").annotations.read_text())
    wrists = {
        (row["image_id"], *np.round(np.add(row["keypoints"][27:29], 1), 2)) for row in coco["annotations"]
    }  # COCO's left wrist is keypoint 9
    row_of_wrist = MPII_16.index("left_wrist")
    found = [
        (int(person["image"].removesuffix(".jpg")), *person["joints"][row_of_wrist])
        for person in mpii
        if person["joints_vis"][row_of_wrist]
    ]
    assert len(found) > 50
    assert set(found) <= wrists


def test_mpii_rows_and_ground_truth(written: Callable[[str], SyntheticFiles], scenes: list[Scene]) -> None:
    files = written("mpii")
    rows = json.loads(files.annotations.read_text())
    truth = scipy.io.loadmat(files.annotations.with_name("gt_valid.mat"))
    labelled = np.array([row["joints_vis"] for row in rows])
    joints = np.array([row["joints"] for row in rows])
    np.testing.assert_array_equal(truth["jnt_missing"], 1 - labelled.T)
    np.testing.assert_array_equal(truth["pos_gt_src"], joints.transpose(1, 2, 0))
    assert truth["headboxes_src"].shape == (2, 2, len(rows))
    assert (truth["headboxes_src"][1] > truth["headboxes_src"][0]).all()
    assert np.where(truth["dataset_joints"] == "head")[1][0] == MPII_16.index("head_top")
    assert np.where(truth["dataset_joints"] == "lwri")[1][0] == MPII_16.index("left_wrist")
    assert (labelled.sum(axis=1) >= 8).all()
    assert (joints[labelled == 0] == -1).all()
    assert (joints[labelled == 1] >= 1).all()
    assert {row["image"] for row in rows} == {path.name for path in files.images.iterdir()}
    assert len(list(files.images.iterdir())) < len(scenes)  # nobody in it: no such image in MPII


def test_mpii_scale_is_the_body_height_over_200_px(
    written: Callable[[str], SyntheticFiles], scenes: list[Scene]
) -> None:
    first = json.loads(written("mpii").annotations.read_text())[0]
    scene = scenes[int(first["image"].removesuffix(".jpg")) - 1]
    heights = [person.height_px for person in scene.persons]
    assert np.isclose(first["scale"] * 200, heights, atol=0.02).any()


def test_crowdpose_file_and_levels(written: Callable[[str], SyntheticFiles]) -> None:
    coco = COCO(str(written("crowdpose").annotations))
    assert coco.loadCats([1])[0]["keypoints"] == list(CROWDPOSE_14.keypoint_names)
    levels = np.digitize([image["crowdIndex"] for image in coco.dataset["images"]], [0.2, 0.8])
    assert (np.bincount(levels, minlength=3) >= 5).all()
    for row in coco.dataset["annotations"]:
        keypoints = np.array(row["keypoints"]).reshape(14, 3)
        assert row["num_keypoints"] == (keypoints[:12, 2] > 0).sum() > 0
        assert row["iscrowd"] == 0
        assert not {"area", "segmentation"} & set(row)


def test_crowd_index_by_hand() -> None:
    keypoints = np.array([[[1, 1, 2], [2, 2, 1], [0, 0, 0]], [[2, 1, 2], [30, 30, 2], [0, 0, 0]]], float)
    boxes = np.array([[0.5, 0.5, 3, 3], [25, 25, 10, 10]])
    # First box: two own, one other. Second box: one own (its other keypoint is outside), no other.
    assert crowd_index(keypoints, boxes) == pytest.approx((1 / 2 + 0 / 1) / 2)
    assert crowd_index(np.repeat(keypoints[:1], 5, axis=0), np.repeat(boxes[:1], 5, axis=0)) == 1
    assert crowd_index(keypoints[:0], boxes[:0]) == 0


def test_a_person_without_a_visible_keypoint_gets_none_labelled() -> None:
    hidden, free = lone_person(0, empty_canvas(), hide_behind_a_slit), lone_person(0, empty_canvas())
    assert hidden.mask.any()
    assert not labelled_keypoints(hidden, COCO_17).any()
    np.testing.assert_array_equal(labelled_keypoints(free, COCO_17), free.keypoints_of(COCO_17))


def test_some_pictures_are_empty_and_some_crowded(scenes: list[Scene]) -> None:
    counts = [len(scene.persons) for scene in scenes]
    assert min(counts) == 0
    assert max(counts) >= 5


def test_progress_and_bad_arguments(tmp_path: Path) -> None:
    seen: list[int] = []
    write_dataset("crowdpose", tmp_path, 3, seed=0, workers=1, on_image=seen.append)
    assert seen == [0, 1, 2]
    with pytest.raises(ValueError, match=r"'aic'; known: coco, mpii, crowdpose"):
        write_dataset("aic", tmp_path, 1, seed=0)
    with pytest.raises(ValueError, match="got 0 and 1"):
        write_dataset("coco", tmp_path, 0, seed=0, workers=1)
