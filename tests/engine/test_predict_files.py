"""What prediction makes of odd and damaged inputs, and what it leaves on disk."""

import json
import sys
import types
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from engine.config import ConfigError, Recipe
from engine.detectors import DetectorError, detect, find_detector
from engine.estimator import Estimator, PictureArrayError, draw, load, make_estimator
from engine.input_pictures import picture_id
from engine.input_sources import InputError
from engine.predict import Predicted, PredictSettings, predict_inputs
from engine.predict_files import Journal
from engine.train import train
from pose.skeletons import COCO_17

WHOLE = PredictSettings(whole_image=True)


@pytest.fixture
def estimator(tiny: Callable[..., Recipe]) -> Estimator:
    return make_estimator(tiny(), COCO_17, None, "cpu")


def ask(estimator: Estimator, out: Path, *inputs: Path | str, settings: PredictSettings = WHOLE) -> Predicted:
    return predict_inputs(estimator, [str(one) for one in inputs], out, settings, Console(file=StringIO()))


def results(out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    images = json.loads((out / "images.json").read_text())
    return json.loads((out / "predictions.json").read_text()), images["images"]


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for number in range(6):
        noise(60, 40 + number, number).save(pictures / ("below" if number % 2 else "") / f"p{number}.jpg")
    (pictures / "notes.txt").write_text("no picture")
    return pictures


def test_pictures_of_every_kind_are_answered(estimator: Estimator, tmp_path: Path) -> None:
    picture = noise(50, 70)
    kinds = {
        "a.jpg": picture, "b.png": picture, "c.bmp": picture, "d.webp": picture, "e.tif": picture, "f.ppm": picture,
        "grey.jpg": picture.convert("L"), "grey.png": picture.convert("L"), "rgba.png": picture.convert("RGBA"),
        "palette.png": picture.convert("P"), "cmyk.jpg": picture.convert("CMYK"),
        "tiny.png": noise(1, 1), "wide.png": noise(3, 2000), "tall.jpg": noise(3000, 2),
    }  # fmt: skip
    for name, image in kinds.items():
        image.save(tmp_path / name)
    deep = np.random.default_rng(0).integers(0, 1 << 16, (40, 30), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    names = [*kinds, "deep.png"]
    predicted = ask(estimator, tmp_path / "out", *(tmp_path / name for name in names))
    assert predicted.damaged == {}
    rows, images = results(tmp_path / "out")
    assert [image["file_name"] for image in images] == names
    assert [row["image_id"] for row in rows] == [image["id"] for image in images]
    for image in images:
        name = image["file_name"] if image["file_name"].endswith(".jpg") else f"{image['file_name']}.jpg"
        with Image.open(tmp_path / "out" / "overlays" / name) as overlay:
            assert overlay.size == (image["width"], image["height"])
    keypoints = {image["file_name"]: np.array(row["keypoints"]) for image, row in zip(images, rows, strict=True)}
    for same in ("c.bmp", "e.tif", "f.ppm", "rgba.png"):
        np.testing.assert_allclose(keypoints[same], keypoints["b.png"], atol=1e-4)


def test_damaged_pictures_are_listed_and_the_rest_goes_on(
    tiny: Callable[..., Recipe], folder: Path, tmp_path: Path
) -> None:
    estimator = make_estimator(tiny("evaluate.batch_size=2"), COCO_17, None, "cpu")
    whole = ask(estimator, tmp_path / "whole", folder)
    known = {row["image_id"]: row for row in results(tmp_path / "whole")[0]}
    assert whole.damaged == {}
    data = (folder / "p2.jpg").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("hello")
    (folder / "p1cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "p3bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    broken = ask(estimator, tmp_path / "broken", folder)
    assert broken.damaged.keys() == {"empty.jpg", "text.png", "p1cut.jpg", "p3bad.png"}
    assert "empty" in broken.damaged["empty.jpg"]
    rows, images = results(tmp_path / "broken")
    assert {image["file_name"] for image in images if "problem" in image} == broken.damaged.keys()
    assert len(rows) == 6
    for row in rows:
        np.testing.assert_allclose(row["keypoints"], known[row["image_id"]]["keypoints"], atol=1e-4)


def test_the_results_are_the_same_wherever_the_folder_lies(estimator: Estimator, folder: Path, tmp_path: Path) -> None:
    ask(estimator, tmp_path / "one", folder)
    moved = folder.rename(tmp_path / "elsewhere")
    (moved / "p0.jpg").unlink()
    ask(estimator, moved / "out", moved)
    ask(estimator, moved / "out", moved)  # what lies there already is no input
    one, other = results(tmp_path / "one")[1], results(moved / "out")[1]
    assert one[1:] == other
    assert [image["file_name"] for image in one] == [
        "p0.jpg", "p2.jpg", "p4.jpg", "below/p1.jpg", "below/p3.jpg", "below/p5.jpg",
    ]  # fmt: skip


def test_names_that_two_folders_share_are_told_apart(estimator: Estimator, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        noise(40, 30).save(tmp_path / name / "000000000139.jpg")
    ask(estimator, tmp_path / "out", tmp_path / "a", tmp_path / "b", tmp_path / "b")
    images = results(tmp_path / "out")[1]
    assert [image["file_name"].split("/")[-2] for image in images] == ["a", "b"]
    assert len({image["id"] for image in images}) == 2
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 2
    assert picture_id("x/000000000139.jpg") == 139
    assert 1 << 51 <= picture_id("x/photo.jpg") < 1 << 52


def test_inputs_that_are_none_are_named(estimator: Estimator, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    wrong = {"none.jpg": "no such file", "empty": "no picture", "text.txt": "neither"}
    for given, said in ((tmp_path / name, said) for name, said in wrong.items()):
        with pytest.raises(InputError, match=said) as error:
            ask(estimator, tmp_path / "out", given)
        assert str(given) in str(error.value)
    with pytest.raises(InputError, match="nothing"):
        ask(estimator, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_boxes_are_found_by_id_or_name_and_pictures_without_are_listed(
    estimator: Estimator, folder: Path, tmp_path: Path
) -> None:
    noise(60, 40).save(folder / "000000000042.jpg")
    rows = [
        {"image_id": 42, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5},
        {"image_id": 42, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.9},
        {"image_id": 42, "category_id": 1, "bbox": [1, 2, 0, 40], "score": 0.9},
        {"file_name": "p0.jpg", "bbox": [-500, -500, 30, 40], "score": 1},
        {"file_name": "below/p1.jpg", "bbox": [5, 5, 30, 40], "score": 1},
        {"file_name": "p3.jpg", "bbox": [0, 0, 9999, 9999], "score": 1},
        {"file_name": "nobody.jpg", "bbox": [5, 5, 30, 40], "score": 1},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    settings = PredictSettings(boxes=tmp_path / "boxes.json")
    predicted = ask(estimator, tmp_path / "out", folder, settings=settings)
    assert predicted.without_boxes == ["p2.jpg", "p4.jpg", "below/p5.jpg"]
    found, images = results(tmp_path / "out")
    names = {image["id"]: image["file_name"] for image in images}
    assert [names[row["image_id"]] for row in found] == ["000000000042.jpg", "p0.jpg", "below/p1.jpg", "below/p3.jpg"]
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 7
    assert predicted.instances == predicted.persons == 4
    assert [note.partition("json: ")[2] for note in predicted.notes] == [
        "1 boxes without an area are left out",
        "1 of its pictures are not among the inputs",
    ]


def test_no_boxes_at_all_give_empty_results(estimator: Estimator, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text("[]")
    settings = PredictSettings(boxes=tmp_path / "boxes.json", heatmaps=True)
    predicted = ask(estimator, tmp_path / "out", folder, settings=settings)
    assert results(tmp_path / "out")[0] == []
    assert len(predicted.without_boxes) == 6


@pytest.mark.parametrize(
    "content", ["{", '{"a": 1}', '[{"image_id": 1}]', '[{"image_id": 1, "bbox": [1, 2, NaN, 4]}]', "[3]"]
)
def test_a_file_of_boxes_that_cannot_be_used_is_named(
    estimator: Estimator, folder: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(ConfigError, match=r"boxes\.json"):
        ask(estimator, tmp_path / "out", folder, settings=PredictSettings(boxes=tmp_path / "boxes.json"))


def test_boxes_of_the_picture_as_stored_are_not_taken_for_those_of_the_upright_one(
    estimator: Estimator, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(40, 60).save(tmp_path / "phone.jpg", exif=exif)
    image = {"id": 7, "file_name": "phone.jpg", "height": 40, "width": 60}
    content = {"images": [image], "annotations": [{"image_id": 7, "bbox": [1, 1, 20, 20]}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    settings = PredictSettings(boxes=tmp_path / "boxes.json")
    predicted = ask(estimator, tmp_path / "out", tmp_path / "phone.jpg", settings=settings)
    assert "--as-stored" in predicted.damaged["phone.jpg"]
    settings = PredictSettings(boxes=tmp_path / "boxes.json", as_stored=True)
    predicted = ask(estimator, tmp_path / "out", tmp_path / "phone.jpg", settings=settings)
    assert (predicted.damaged, results(tmp_path / "out")[0][0]["image_id"]) == ({}, 7)


def test_boxes_are_asked_for_and_only_where_they_are_needed(
    estimator: Estimator, tiny_bottomup: Callable[..., Recipe], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--whole-image"):
        ask(estimator, tmp_path / "out", folder, settings=PredictSettings())
    both = PredictSettings(whole_image=True, detector="x:y")
    with pytest.raises(ConfigError, match="exclude each other"):
        ask(estimator, tmp_path / "out", folder, settings=both)
    whole = make_estimator(tiny_bottomup(), COCO_17, None, "cpu")
    with pytest.raises(ConfigError, match="takes no boxes"):
        ask(whole, tmp_path / "out", folder)
    with pytest.raises(ConfigError, match="leave them out"):
        whole.predict([np.zeros((9, 9, 3), np.uint8)], [np.array([[0, 0, 9, 9]])])
    with pytest.raises(ConfigError, match="quality=final"):
        make_estimator(tiny_bottomup("bottomup.grouping.quality=heatmaps"), COCO_17, None, "cpu")


def one_box_each(pictures: list[np.ndarray]) -> Any:
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in pictures)
    return [([[2, 3, picture.shape[1] / 2, 20], [1, 1, 0, 5]], [0.75, 0.5]) for picture in pictures]


def nobody(pictures: list[np.ndarray]) -> Any:
    return [(np.zeros((0, 4)), np.zeros(0)) for _ in pictures]


def failing(pictures: list[np.ndarray]) -> Any:
    raise RuntimeError("out of memory")


def too_few(pictures: list[np.ndarray]) -> Any:
    return one_box_each(pictures)[1:]


def misshapen(pictures: list[np.ndarray]) -> Any:
    return [([1, 2, 3], [0.5]) for _ in pictures]


def with_gradients(pictures: list[np.ndarray]) -> Any:
    return [(torch.ones(1, 4, requires_grad=True), torch.ones(1)) for _ in pictures]


@pytest.fixture
def plugs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plugs", sys.modules[__name__])


@pytest.mark.usefixtures("plugs")
def test_a_detector_of_ones_own_says_where_to_look(estimator: Estimator, folder: Path, tmp_path: Path) -> None:
    (folder / "text.jpg").write_text("no picture")
    predicted = ask(estimator, tmp_path / "out", folder, settings=PredictSettings(detector="plugs:one_box_each"))
    assert (predicted.pictures, predicted.instances, list(predicted.damaged)) == (7, 6, ["text.jpg"])
    predicted = ask(estimator, tmp_path / "out", folder, settings=PredictSettings(detector="plugs:nobody"))
    assert (len(predicted.without_boxes), results(tmp_path / "out")[0]) == (6, [])
    boxes, scores = detect(one_box_each, "mine", [np.zeros((30, 20, 3), np.uint8)])[0]
    assert (boxes.tolist(), scores.tolist()) == ([[2, 3, 10, 20]], [0.75])


@pytest.mark.usefixtures("plugs")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plugs:failing", "RuntimeError: out of memory"),
        ("plugs:too_few", "answered for 3"),
        ("plugs:misshapen", "boxes_xywh"),
        ("plugs:with_gradients", "detach"),
        ("plugs:absent", "absent"),
        ("plugs:WHOLE", "cannot be called"),
        ("no_such_module:x", "no_such_module"),
        ("yolo", "MODULE:CALLABLE"),
        ("gone.py:find", "no such file"),
        (":find", "Empty module name"),
    ],
)
def test_detectors_that_fail_are_named(
    estimator: Estimator, folder: Path, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(DetectorError, match=said) as error:
        ask(estimator, tmp_path / "out", folder, settings=PredictSettings(detector=name))
    assert name in str(error.value)
    assert not (tmp_path / "out" / "predictions.json").exists()


def test_torchvisions_detector_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(DetectorError, match="pip install torchvision"):
        find_detector("fasterrcnn_resnet50_fpn", None)  # type: ignore[arg-type]


def test_torchvisions_answer_becomes_boxes_of_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its network: corners become sizes, other classes and doubtful persons leave."""
    found = {"boxes": [[1, 2, 11, 22], [0, 0, 5, 5], [3, 3, 9, 9]], "labels": [1, 18, 1], "scores": [0.9, 0.9, 0.1]}

    class Network(torch.nn.Module):
        def forward(self, inputs: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            assert all(one.shape == (3, 30, 20) and one.max() <= 1 for one in inputs)
            return [{name: torch.tensor(values) for name, values in found.items()} for _ in inputs]

    made = types.SimpleNamespace(fasterrcnn_resnet50_fpn=lambda weights: Network())
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", made)
    monkeypatch.setitem(sys.modules, "torchvision.models", types.ModuleType("torchvision.models"))
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    name = "fasterrcnn_resnet50_fpn"
    detector = find_detector(name, torch.device("cpu"))
    boxes, scores = detect(detector, name, [np.full((30, 20, 3), 255, np.uint8)])[0]
    assert boxes.tolist() == [[1, 2, 10, 20]]
    assert scores.tolist() == pytest.approx([0.9])


class Killed(BaseException):
    """Stands for a kill."""


def test_what_was_answered_before_a_kill_is_on_disk(
    tiny: Callable[..., Recipe], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = make_estimator(tiny("evaluate.batch_size=1", "data.threads=1"), COCO_17, None, "cpu")
    ask(estimator, tmp_path / "out", folder)
    whole = results(tmp_path / "out")[0]
    add, done, on_disk = Journal.add, [], []

    def killed(self: Journal, *arguments: Any) -> None:
        if len(done) == 3:
            on_disk.append((tmp_path / "out" / "predictions.jsonl").read_text())
            raise Killed
        add(self, *arguments)
        done.append(1)

    monkeypatch.setattr(Journal, "add", killed)
    with pytest.raises(Killed):
        ask(estimator, tmp_path / "out", folder)
    assert not (tmp_path / "out" / "predictions.json").exists()
    lines = [json.loads(line) for line in on_disk[0].splitlines()]
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == on_disk[0]
    assert [row for line in lines for row in line["results"]] == whole[:3]
    for line in lines:
        assert (tmp_path / "out" / "overlays" / line["image"]["file_name"]).is_file()
    monkeypatch.setattr(Journal, "add", add)
    ask(estimator, tmp_path / "out", folder)
    assert results(tmp_path / "out")[0] == whole
    assert not (tmp_path / "out" / "predictions.jsonl").exists()


def test_heatmap_panels_have_a_tile_for_each_keypoint(estimator: Estimator, folder: Path, tmp_path: Path) -> None:
    ask(estimator, tmp_path / "out", folder / "p0.jpg", settings=PredictSettings(whole_image=True, heatmaps=True))
    with Image.open(tmp_path / "out" / "heatmaps" / "p0.jpg") as panel:
        assert panel.size == (6 * (40 + 4) + 4, 3 * (60 + 22 + 4) + 4)


def test_few_pictures_are_in_memory(
    tiny: Callable[..., Recipe], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and be there nobody in them: they are read as they are answered."""
    import engine.predict as under_test

    estimator = make_estimator(tiny("evaluate.batch_size=2", "data.threads=1"), COCO_17, None, "cpu")
    monkeypatch.setattr("engine.picture_answers._MOST_PICTURES", 8)
    read, most = [0], [0]
    given = under_test.read_pictures

    def many(sources: Any, as_stored: bool) -> Iterator[Any]:
        for _ in range(40):
            for one in given(sources, as_stored):
                read[0] += 1
                yield one

    answered = [0]
    count = under_test._count

    def counted(*arguments: Any, **named: Any) -> None:
        answered[0] += 1
        most[0] = max(most[0], read[0] - answered[0])
        count(*arguments, **named)

    monkeypatch.setattr(under_test, "read_pictures", many)
    monkeypatch.setattr(under_test, "_count", counted)
    (tmp_path / "boxes.json").write_text('[{"file_name": "p0.jpg", "bbox": [1, 1, 9, 9]}]')
    for settings in (WHOLE, PredictSettings(boxes=tmp_path / "boxes.json", overlays=False)):
        read[0] = answered[0] = most[0] = 0
        predicted = ask(estimator, tmp_path / "out", folder, settings=settings)
        assert predicted.pictures == 240
        assert most[0] < 80


def test_a_checkpoint_is_loaded_and_draws_what_it_predicts(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path], console: Console
) -> None:
    best = train(tiny(f"data.val={mini_shards('coco')}", "train.epochs=1"), console).best
    assert best is not None
    estimator = load(best, device="cpu", settings=["evaluate.flip_test=false"])
    assert estimator.skeleton.name == "coco_17"
    assert not estimator.task.recipe.evaluate.flip_test
    picture = np.asarray(noise(80, 60))
    several, none = estimator.predict(
        [picture, picture], [np.array([[0, 0, 60, 80], [5, 5, 30, 40]]), np.zeros((0, 4))]
    )
    assert several.keypoints.shape[1:] == (17, 2)
    assert (np.diff(several.scores) <= 0).all()
    assert len(none) == 0
    drawn = draw(picture, several, least_score=0.0)
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()
    assert (draw(picture, none) == picture).all()


@pytest.mark.parametrize(
    "array",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 4), np.uint8)],
)
def test_arrays_that_are_no_pictures_are_refused(estimator: Estimator, array: np.ndarray) -> None:
    with pytest.raises(PictureArrayError, match=r"pictures\[1\]"):
        estimator.predict([np.zeros((5, 5, 3), np.uint8), array])


def test_one_picture_is_given_in_a_list(estimator: Estimator) -> None:
    with pytest.raises(PictureArrayError, match=r"predict\(\[picture\]\)"):
        estimator.predict(np.zeros((5, 5, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(estimator: Estimator) -> None:
    with pytest.raises(ConfigError, match="0 CUDA devices"):
        make_estimator(estimator.task.recipe, estimator.skeleton, None, "cuda")


def test_what_is_no_array_is_refused(estimator: Estimator) -> None:
    with pytest.raises(PictureArrayError, match=r"pictures\[0\] must be an array .* got Image"):
        estimator.predict([noise(5, 5)])  # type: ignore[list-item]


def test_a_folder_is_not_looked_at_and_written_to(estimator: Estimator, folder: Path) -> None:
    """Else a second run would look at the first one's overlays."""
    with pytest.raises(InputError, match="is looked at and written to"):
        ask(estimator, folder, folder)
    assert not (folder / "overlays").exists()
    ask(estimator, folder / "out", folder)
    assert ask(estimator, folder / "out", folder).pictures == 6


@pytest.mark.parametrize("boxes", [[[1, 2, 3]], [[0, 0, 0, 5]], [[0, 0, float("nan"), 5]]])
def test_boxes_that_are_none_are_refused(estimator: Estimator, boxes: Any) -> None:
    with pytest.raises(ConfigError, match=r"boxes\[0\]"):
        estimator.predict([np.zeros((5, 5, 3), np.uint8)], [boxes])
