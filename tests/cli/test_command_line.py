"""The command line as a person meets it: help, the whole path on six pictures, exit statuses, errors in one line."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from typer.testing import CliRunner, Result

import posestream
from models.paper_costs import PAPER_COSTS
from sharding.synthetic import SyntheticFiles

ROOT = Path(posestream.__file__).resolve().parent
COMMANDS = sorted(info.name or info.callback.__name__ for info in posestream.app.registered_commands if info.callback)
TINY = (
    "data.crop_size=64,32", "model.options.width=8", "model.options.deconv_channels=[8,8,8]", "train.epochs=1",
    "train.batch_size=16", "data.threads=1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(posestream.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """main(*arguments): exit status and stderr of the real entry point."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["posestream", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            posestream.main()
        return int(end.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> SyntheticFiles:
    """Six pictures by `synth`, where its output says they are."""
    out = tmp_path_factory.mktemp("cli") / "people"
    result = invoke("synth", "coco", "--out", out, "--images", 6, "--seed", 3, "--workers", 1)
    assert result.exit_code == 0
    paths = re.search(r"convert coco --images (\S+) --annotations (\S+) --out", result.output)
    assert paths is not None, result.output
    return SyntheticFiles(images=Path(paths[1]), annotations=Path(paths[2]))


@pytest.fixture(scope="module")
def shards(people: SyntheticFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli-shards") / "mini"
    result = invoke(
        "convert", "coco", "--images", people.images, "--annotations", people.annotations, "--out", out,
        "--shard-size", "60KB", "--workers", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{out}: 6 images" in result.output
    assert "nothing refused" in result.output
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.replace("│", " ").split())
    assert f"posestream {command}" in text.partition("Example:")[2]


def test_every_command_is_listed_and_no_argument_shows_help() -> None:
    for arguments in ((), ("--help",)):
        output = CliRunner().invoke(posestream.app, list(arguments)).output
        assert all(re.search(rf"\b{command}\b", output) for command in COMMANDS)


def test_recipes_are_listed_by_a_part_of_their_names() -> None:
    found = invoke("recipes", "HRNet_w32_coco_512").stdout.split()
    assert found == ["guided_hrnet_w32_coco_512", "higherhrnet_w32_coco_512"]
    result = CliRunner().invoke(posestream.app, ["recipes", "zzz"])
    assert result.exit_code == 2
    assert "no recipe has 'zzz' in its name" in result.output


@pytest.fixture
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting all of them takes a while."""
    names = [
        "simplebaseline_resnet18",
        "simplebaseline_resnet50",
        "hrnet_w32",
        "dlcm",
        "guided_hrnet_w32",
        "ae_hourglass_4",
    ]
    monkeypatch.setattr("models.cost_table.list_models", lambda: names)


@pytest.mark.usefixtures("few_networks")
def test_models_as_json_are_the_published_numbers() -> None:
    result = invoke("models", "--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    row = rows["simplebaseline_resnet50"]
    assert (row["params"], row["macs"], row["macs_dense"]) == (33_999_697, 5_426_380_800, 9_654_239_232)
    assert (row["crop_size"], row["num_keypoints"]) == ([256, 192], 17)
    # 64.369e9 and 222.210e9 at 512x512, over 16/3: all of it is convolutions.
    macs = {"guided_hrnet_w32": 12_069_273_600, "ae_hourglass_4": 41_664_380_928}
    assert {name: rows[name]["macs"] for name in macs} == macs


@pytest.mark.usefixtures("few_networks")
def test_models_as_a_table_follow_crop_and_keypoints() -> None:
    result = invoke("models", "--keypoints", 16, "--crop", "384x288")
    assert "33,999,440" in result.output
    assert "16 keypoints, 384x288 px" in result.output


@pytest.mark.usefixtures("few_networks")
def test_bottom_up_networks_are_counted_for_pictures() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("models", "--crop", "512x512", "--json").stdout)}
    assert (rows["guided_hrnet_w32"]["params"], rows["guided_hrnet_w32"]["macs"]) == (30_678_516, 64_369_459_200)
    assert (rows["ae_hourglass_4"]["params"], rows["ae_hourglass_4"]["macs"]) == (138_893_840, 222_210_031_616)


@pytest.mark.usefixtures("few_networks")
def test_models_that_cannot_take_the_crop_are_said_not_counted() -> None:
    arguments = ("models", "--keypoints", 5, "--crop", "250x192")
    result = invoke(*arguments)
    assert re.search(r"hrnet_w32\W+–\W+–", result.output)
    assert "dlcm: no part hierarchy has 5 keypoints" in " ".join(result.output.split())
    rows = {row["name"]: row for row in json.loads(invoke(*arguments, "--json").stdout)}
    assert "multiples of 32" in rows["hrnet_w32"]["problem"]
    assert "multiples of 32" in rows["simplebaseline_resnet18"]["problem"]
    assert "multiples of 32" in rows["guided_hrnet_w32"]["problem"]
    assert "multiples of 64" in rows["ae_hourglass_4"]["problem"]
    rows = {row["name"]: row for row in json.loads(invoke("models", "--keypoints", 5, "--json").stdout)}
    assert "problem" not in rows["simplebaseline_resnet18"]


def test_the_papers_figures_stand_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [row for row in PAPER_COSTS if row.network == "simplebaseline_resnet50" and row.plugin != "poserenet"]
    monkeypatch.setattr("models.cost_table.PAPER_COSTS", rows)
    output = invoke("models", "--table").output
    (base,) = re.findall(r"simplebaseline_resnet50 +256x192 .*", output)
    assert " ".join(base.split()[1:]) == "256x192 17 33,999,697 34.0M 5.426 9.654 8.991 8.90 1 HRNet 1, EFAFNet VIII"
    assert "1: the paper cuts the figure" in output
    # EnhanceNet prints 1e9: its figure is in front of ours in 2^30.
    (widest,) = re.findall(r"enhancenet channels=256 \(alone\) .*", output)
    assert " ".join(widest.split()[3:]) == "256x192 17 1,287,184 1.29M 3.952 3.952 3.95 3.680 EnhanceNet 5b"
    (as_json, *_) = json.loads(invoke("models", "--table", "--json").stdout)
    assert (as_json["macs_dense"], as_json["paper"]["macs"], as_json["paper"]["unit"]) == (
        9_654_239_232,
        "8.90",
        "2^30",
    )


def test_the_same_seed_renders_the_same_pictures(people: SyntheticFiles, tmp_path: Path) -> None:
    invoke("synth", "coco", "--out", tmp_path / "again", "--images", 6, "--seed", 3, "--workers", 1)
    names = [path.relative_to(people.images) for path in people.images.rglob("*") if path.is_file()]
    assert len(names) == 6
    again = next(path for path in (tmp_path / "again").rglob(str(names[0].name))).parent
    assert all((again / name).read_bytes() == (people.images / name).read_bytes() for name in names)


def test_verify_passes_intact_shards_and_exits_1_on_a_flipped_byte(shards: Path, tmp_path: Path) -> None:
    result = invoke("verify", shards)
    assert result.exit_code == 0
    assert "6 images, all intact" in result.output
    copy = Path(shutil.copytree(shards, tmp_path / "copy"))
    tar = sorted(copy.glob("*.tar"))[-1]
    data = bytearray(tar.read_bytes())
    data[1000] ^= 1
    tar.write_bytes(data)
    result = invoke("verify", copy)
    assert result.exit_code == 1
    assert tar.name in result.output
    assert "all intact" not in result.output


def test_inspect_counts_and_draws(shards: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "crops.png"
    result = invoke(
        "inspect", shards, "--sheet", sheet, "--recipe", "demo_synthetic", "augmentation.rotation_factor=80"
    )
    assert result.exit_code == 0
    assert "coco mini, coco_17" in result.output
    assert re.search(r"images\W+6, ", result.output)
    assert "left_wrist" in result.output
    assert "mini-000001.tar" in result.output
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 6 * (144 + 4) + 4


def test_the_sheet_of_a_benchmark_uses_its_own_recipe(shards: Path, tmp_path: Path) -> None:
    result = invoke("inspect", shards, "--sheet", tmp_path / "c.jpg")
    assert "crops of recipe simplebaseline_resnet50_coco_256x192" in result.output
    assert (tmp_path / "c.jpg").read_bytes().startswith(b"\xff\xd8")


def test_a_truncated_picture_is_refused_with_exit_status_3(people: SyntheticFiles, tmp_path: Path) -> None:
    images = Path(shutil.copytree(people.images, tmp_path / "images"))
    broken = sorted(path for path in images.rglob("*") if path.is_file())[2]
    broken.write_bytes(broken.read_bytes()[:-3000])
    arguments = ("convert", "coco", "--images", images, "--annotations", people.annotations, "--workers", 1, "--out")
    result = invoke(*arguments, tmp_path / "out")
    assert result.exit_code == 3
    assert "1 refused, see" in result.output
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == 1
    assert broken.name in json.dumps(rejects[0])
    assert invoke("verify", tmp_path / "out").exit_code == 0
    assert invoke(*arguments, tmp_path / "out").exit_code == 3  # the same command again says the same
    unchecked = invoke(*arguments, tmp_path / "unchecked", "--no-check-images")
    assert unchecked.exit_code == 0


def test_strict_conversion_stops(people: SyntheticFiles, tmp_path: Path, main: Any) -> None:
    images = Path(shutil.copytree(people.images, tmp_path / "images"))
    next(path for path in images.rglob("*") if path.is_file()).write_bytes(b"")
    status, errors = main(
        "convert",
        "coco",
        "--images",
        images,
        "--annotations",
        people.annotations,
        "--out",
        tmp_path / "out",
        "--strict",
    )
    assert status == 1
    assert errors.startswith("error: ")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_evaluate_crops_as_the_checkpoint_was_trained_unless_told_otherwise(shards: Path, tmp_path: Path) -> None:
    run, splits = tmp_path / "run", (f"data.train={shards}", f"data.val={shards}")
    assert invoke("train", "demo_synthetic", *splits, f"run_dir={run}", *TINY, "train.epochs=1").exit_code == 0
    trained = json.loads((run / "recipe.json").read_text())
    for settings, crop_size in (((), trained["data"]["crop_size"]), (("data.crop_size=96,64",), [96, 64])):
        command = ("evaluate", "demo_synthetic", "--checkpoint", run / "best.ckpt", "--out", tmp_path / "out")
        result = invoke(*command, f"data.val={shards}", *settings)
        assert result.exit_code == 0, result.output
        assert "data.crop_size is [" in result.output
        used = json.loads((tmp_path / "out" / "recipe.json").read_text())
        assert used["data"]["crop_size"] == crop_size
        assert (used["model"], used["heatmap"]) == (trained["model"], trained["heatmap"])


def test_train_resume_and_evaluate(shards: Path, tmp_path: Path) -> None:
    settings = (f"data.train={shards}", f"data.val={shards}", f"run_dir={tmp_path / 'run'}", *TINY)
    first = invoke("train", "demo_synthetic", *settings)
    assert first.exit_code == 0
    assert str(tmp_path / "run" / "last.ckpt") in first.output
    again = invoke("train", "demo_synthetic", *settings)
    assert again.exit_code == 0
    assert "resuming" in again.output
    result = invoke("evaluate", "demo_synthetic", "--checkpoint", tmp_path / "run" / "best.ckpt", *settings)
    assert result.exit_code == 0
    assert "best" in result.output
    assert "AP50" in result.output
    folder = tmp_path / "run" / "evaluation"
    written = {"metrics.json", "recipe.json", "results.json", "diagnosis.json", "training.json", "cases"}
    assert {path.name for path in folder.iterdir()} == written | {"report.html"}
    elsewhere = ("--out", tmp_path / "o", "--report", tmp_path / "page")
    other = invoke("evaluate", "demo_synthetic", "--checkpoint", tmp_path / "run" / "best.ckpt", *elsewhere, *settings)
    assert other.exit_code == 0
    assert {path.name for path in (tmp_path / "o").iterdir()} == written
    assert (tmp_path / "page" / "report.html").exists()
    both = invoke("report", tmp_path / "run", tmp_path / "o", "--out", tmp_path / "both.html")
    assert both.exit_code == 0
    assert (tmp_path / "both.html").stat().st_size > (tmp_path / "page" / "report.html").stat().st_size


CONVERT = ("convert", "coco", "--images", "IMAGES", "--out", "OUT", "--annotations")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CONVERT, "gone.json"), "gone.json"),
        ((*CONVERT, "BROKEN"), "broken.json"),
        (("verify", "IMAGES"), "manifest.json does not exist"),
        (("inspect", "IMAGES"), "manifest.json does not exist"),
        (("inspect", "SHARDS", "--sheet", "x.png", "--recipe", "nope"), "no recipe 'nope'"),
        (("verify", "ftp://host/x"), "ftp://host/x"),
        (("train", "nope"), "no recipe 'nope'; give a path to a .py or recipe.json file, or a name that begins"),
        (("train", "demo_synthetic"), "data.train is not set"),
        (("train", "demo_synthetic", "optim.lrr=1"), "Did you mean optim.lr?"),
        (("train", "demo_synthetic", "optim.lr=fast"), "optim.lr: Input should be a valid number"),
        (("train", "demo_synthetic", "data.train=IMAGES", "run_dir=OUT"), "manifest.json does not exist"),
        (("train", "demo_synthetic", "data.train=SHARDS", "run_dir=OUT", "model.name=x"), "unknown model 'x'; known:"),
        (("evaluate", "demo_synthetic", "--checkpoint", "gone.ckpt", "data.val=SHARDS"), "gone.ckpt does not exist"),
        (("evaluate", "demo_synthetic", "--checkpoint", "BROKEN", "data.val=SHARDS"), "broken.json is not a readable"),
        (("evaluate", "demo_synthetic", "--weights", "gone.pth", "data.val=SHARDS"), "gone.pth: No such file"),
        (("evaluate", "demo_synthetic", "--weights", "BROKEN", "data.val=SHARDS"), "broken.json: damaged, or it holds"),
        (("evaluate", "demo_synthetic", "--weights", "BROKEN"), "data.val is not set"),
    ],
)
def test_what_a_person_can_mend_is_one_line_without_a_traceback(
    main: Any, shards: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "broken.json").write_text('{"images": [')
    places = {
        "IMAGES": tmp_path / "images", "OUT": tmp_path / "out", "SHARDS": shards, "BROKEN": tmp_path / "broken.json"
    }  # fmt: skip
    given = [re.sub("|".join(places), lambda match: str(places[match[0]]), argument) for argument in arguments]
    status, errors = main(*given)
    assert status == 1
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CONVERT, "a.json", "--shard-size", "5XB"), "expected a size such as 256MB, got '5XB'"),
        ((*CONVERT, "a.json", "--shard-size", "-5MB"), "expected a size such as 256MB, got '-5MB'"),
        ((*CONVERT, "a.json", "--shard-size", "MB"), "expected a size such as 256MB, got 'MB'"),
        ((*CONVERT, "a.json", "--shard-size", "0"), "expected a size such as 256MB, got '0'"),
        (("inspect", "SHARDS", "--sheet", "x.gif"), "expected a .png or .jpg file, got x.gif"),
        ((*CONVERT, "a.json", "--workers", "0"), "--workers"),
        (
            ("convert", "imagenet", "--images", "IMAGES", "--out", "OUT", "--annotations", "a.json"),
            "coco, mpii, crowdpose",
        ),
        (("convert", "coco", "--images", "gone", "--out", "OUT", "--annotations", "a.json"), "gone is not a folder"),
        (("synth", "imagenet", "--out", "OUT"), "coco, mpii, crowdpose"),
        (("synth", "coco", "--out", "OUT", "--images", "0"), "--images"),
        (("models", "--crop", "256"), "expected HEIGHTxWIDTH such as 256x192, got '256'"),
        (("models", "--keypoints", "0"), "--keypoints"),
        (("models", "--table", "--crop", "128x96"), "--table has the papers' own keypoints and crops"),
        (("evaluate", "demo_synthetic"), "--checkpoint, --weights: give one of them"),
        (("evaluate", "demo_synthetic", "--checkpoint", "a", "--weights", "b"), "give one of them"),
        (("nothing",), "No such command 'nothing'"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_expected(
    main: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    status, errors = main(*[{"IMAGES": str(tmp_path), "OUT": str(tmp_path / "out")}.get(a, a) for a in arguments])
    assert status == 2
    assert message in " ".join(errors.replace("│", " ").split())
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_a_bug_of_ours_is_not_dressed_up_as_the_users(main: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(name: str) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("recipes.load_recipe", bug)
    monkeypatch.setattr(sys, "argv", ["posestream", "train", "demo_synthetic"])
    with pytest.raises(AssertionError, match="a bug"):
        posestream.main()


def test_foreign_packages_of_our_names_are_noticed(main: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posestream, "_PACKAGES", ("pose", "json"))
    monkeypatch.setattr(sys, "argv", ["posestream", "models"])
    with pytest.raises(SystemExit, match="the package 'json' comes from"):
        posestream.main()


def python(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "posestream.py"), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def test_help_does_not_import_torch() -> None:
    heavy = {"torch", "numpy", "cv2", "pyarrow", "nvidia", "pycocotools"}
    code = f"import sys, posestream; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_real_process_prints_its_error_and_status_from_any_folder(tmp_path: Path) -> None:
    done = python("verify", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path}/manifest.json does not exist")
    assert done.stderr.count("\n") == 1
