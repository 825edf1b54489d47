"""Names from others' data: they lead nowhere but below the output folder, and to nobody else's boxes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.config import ConfigError
from engine.input_pictures import InputPicture
from engine.input_sources import safe_name
from engine.picture_files import read_picture_file
from engine.predict_boxes import BoxFile
from engine.predict_files import write_picture

BLACK = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize("name", ["..#..#x.jpg", "#tmp#x.jpg", "../../x.jpg", "/tmp/x.jpg", "..\\..\\x.jpg", "a#b.jpg"])
def test_a_name_of_a_split_leads_to_no_folder_outside(tmp_path: Path, name: str) -> None:
    out = tmp_path / "a" / "b" / "overlays"
    write_picture(out, InputPicture(safe_name(name), 1, None), BLACK)
    (written,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert written.is_relative_to(out)
    assert not Path("/tmp/x.jpg").exists()


def test_frames_have_a_folder_of_their_own(tmp_path: Path) -> None:
    frame = InputPicture("b#c.mp4#000007", 1, None, video="b#c.mp4", frame=7)
    write_picture(tmp_path, frame, BLACK)
    assert (tmp_path / "b#c.mp4" / "000007.jpg").is_file()


@pytest.fixture
def box_file(tmp_path: Path) -> Any:
    def make(content: Any) -> BoxFile:
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(content))
        return BoxFile(path)

    return make


def test_boxes_are_found_in_other_folders_but_not_for_other_pictures(box_file: Any) -> None:
    file = box_file([{"file_name": "cam1/1.jpg", "bbox": [0, 0, 5, 5]}])
    found = {name: len(file.boxes(name, 9)[0]) for name in ("cam1/1.jpg", "x/cam1/1.jpg", "1.jpg", "cam2/1.jpg")}
    assert found == {"cam1/1.jpg": 1, "x/cam1/1.jpg": 1, "1.jpg": 1, "cam2/1.jpg": 0}
    listed = box_file({"images": [{"id": 3, "file_name": "cam1/1.jpg"}], "annotations": []})
    assert (listed.image_id("1.jpg"), listed.image_id("cam2/1.jpg")) == (3, None)
    several = box_file([{"file_name": f"cam{n}/1.jpg", "bbox": [0, 0, 5, 5]} for n in (1, 2)])
    assert [len(several.boxes(name, 9)[0]) for name in ("cam2/1.jpg", "1.jpg")] == [1, 0]


def test_sizes_may_be_null_and_ids_are_numbers(box_file: Any) -> None:
    image = {"id": 3, "file_name": "1.jpg", "width": None, "height": None}
    assert box_file({"images": [image], "annotations": []}).size("1.jpg") is None
    with pytest.raises(ConfigError, match=r"boxes\.json"):
        box_file({"images": [image | {"id": "x"}], "annotations": []})


@pytest.mark.filterwarnings("error")
def test_a_large_picture_is_no_reason_to_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(BLACK).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture_file(tmp_path / "a.png", 1).size == (4, 4)
