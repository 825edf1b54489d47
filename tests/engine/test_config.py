"""The configuration tree: what may be set, what is refused and in which words."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from engine.config import ConfigError, Recipe, leaves, override, parse_recipe, variant
from pose.errors import UserError


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(
        {"name": "r", "run_dir": "runs/r", "data": {}, "model": {"name": "net", "options": {"width": 32}}}
    )


def value(recipe: Recipe, path: str) -> Any:
    node: Any = recipe
    for name in path.split("."):
        node = node[name] if isinstance(node, dict) else getattr(node, name)
    return node


@pytest.mark.parametrize(
    ("assignment", "path", "expected"),
    [
        ("optim.lr=5e-4", "optim.lr", 5e-4),
        ("optim.lr=1", "optim.lr", 1.0),
        ("train.epochs=3", "train.epochs", 3),
        ("data.train=/data/a=b", "data.train", "/data/a=b"),
        ("data.train=s3://bucket/x,y", "data.train", "s3://bucket/x,y"),
        ("data.train=null", "data.train", None),
        ("data.train=None", "data.train", None),
        ("run_dir=runs/two words", "run_dir", "runs/two words"),
        ("evaluate.flip_test=false", "evaluate.flip_test", False),
        ("data.shuffle=none", "data.shuffle", "none"),
        ("evaluate.detections=none", "evaluate.detections", None),
        ("data.convention=unbiased", "data.convention", "unbiased"),
        ("data.crop_size=384,288", "data.crop_size", (384, 288)),
        ("data.crop_size=(384, 288)", "data.crop_size", (384, 288)),
        ("data.crop_size=[384, 288]", "data.crop_size", (384, 288)),
        ("optim.milestones=[]", "optim.milestones", ()),
        ("optim.milestones=()", "optim.milestones", ()),
        ("optim.milestones=[7]", "optim.milestones", (7,)),
        ("optim.milestones=(7,)", "optim.milestones", (7,)),
        ("augmentation.rotation_factor=40", "augmentation.rotation_factor", 40.0),
        ("augmentation.scale_range=0.7,1.35", "augmentation.scale_range", (0.7, 1.35)),
        ("augmentation.scale_range=[1, 2]", "augmentation.scale_range", (1.0, 2.0)),
        ("augmentation.scale_range=none", "augmentation.scale_range", None),
        ("augmentation.rotation_range=45", "augmentation.rotation_range", 45.0),
        ("optim.name=rmsprop", "optim.name", "rmsprop"),
        ("evaluate.soft_nms_sigma=0.5", "evaluate.soft_nms_sigma", 0.5),
        ("evaluate.soft_nms_sigma=none", "evaluate.soft_nms_sigma", None),
        ("model.weights=resnet50.pth", "model.weights", "resnet50.pth"),
        ("model.options.width=8", "model.options.width", 8),
        ("model.options.brand_new=[1, 2]", "model.options.brand_new", [1, 2]),
        ("model.options.kind=deep", "model.options.kind", "deep"),
    ],
)
def test_a_leaf_is_set_from_text(recipe: Recipe, assignment: str, path: str, expected: Any) -> None:
    changed = override(recipe, [assignment])
    assert value(changed, path) == expected
    assert type(value(changed, path)) is type(expected)
    before, after = leaves(recipe), leaves(changed)
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {path}


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("optim.lrr=1", ["optim.lrr", "Did you mean optim.lr?", "weight_decay", "milestones"]),
        ("optm.lr=1", ["optm.lr", "Did you mean optim?", "data", "evaluate"]),
        ("learning_rate=1", ["learning_rate", "a recipe has: name, run_dir, data"]),
        ("optim.lr.x=1", ["optim.lr.x", "optim has:", "milestones"]),
        ("model.options.a.b=1", ["model.options.a.b", "width"]),
        ("=5", ["no setting ''", "a recipe has: name"]),
        ("optim=1", ["optim is a group", "optim.lr", "optim.gamma"]),
        ("augmentation=1", ["augmentation is a group", "augmentation.scale_factor"]),
        ("model.options={}", ["model.options is a group", "model.options.width"]),
        ("optim.lr", ["'optim.lr' is not of the form key=value"]),
        ("optim.lr=fast", ["optim.lr", "number", "'fast'"]),
        ("optim.lr=-1", ["optim.lr", "greater than 0", "-1"]),
        ("optim.lr=NaN", ["optim.lr", "nan"]),
        ("optim.lr=Infinity", ["optim.lr", "inf"]),
        ("train.epochs=2.5", ["train.epochs", "integer", "2.5"]),
        ("train.epochs=0", ["train.epochs", "greater than 0", "0"]),
        ("train.seed=-1", ["train.seed", "-1"]),
        ("optim.name=sgd", ["optim.name", "'adam', 'adamw' or 'rmsprop'", "'sgd'"]),
        ("train.precision=16-mixed", ["train.precision", "'32-true' or 'bf16-mixed'", "'16-mixed'"]),
        ("data.shuffle=no", ["data.shuffle", "'image', 'instance' or 'none'", "'no'"]),
        ("data.convention=opencv", ["data.convention", "'hrnet' or 'unbiased'", "'opencv'"]),
        ("heatmap.decoding=soft", ["heatmap.decoding", "'argmax', 'quarter' or 'dark'", "'soft'"]),
        ("heatmap.encoding=soft", ["heatmap.encoding", "'rounded', 'exact' or 'truncated'", "'soft'"]),
        ("data.crop_size=256", ["data.crop_size", "tuple", "256"]),
        ("data.crop_size=256,x", ["data.crop_size", "tuple", "'256,x'"]),
        ("data.crop_size=256,0", ["data.crop_size.1", "greater than 0", "0"]),
        ("data.crop_size=1,2,3", ["data.crop_size", "3"]),
        ("evaluate.flip_test=maybe", ["evaluate.flip_test", "boolean", "'maybe'"]),
        ("evaluate.nms_threshold=1.5", ["evaluate.nms_threshold", "less than or equal to 1", "1.5"]),
        ("augmentation.scale_factor=2", ["augmentation", "scale_factor must lie in [0, 1)", "2"]),
        ("augmentation.flip_probability=-0.1", ["flip_probability must lie in [0, 1]", "-0.1"]),
        ("augmentation.scale_range=2,1", ["scale_range must be (low, high) with 0 < low <= high", "(2.0, 1.0)"]),
        ("augmentation.channel_gain=1", ["channel_gain must lie in [0, 1)", "1.0"]),
        ("evaluate.soft_nms_sigma=0", ["evaluate.soft_nms_sigma", "greater than 0", "0"]),
        ("model.backbone_weights=x", ["model.backbone_weights", "model has: ", "weights"]),
        ("augmentation.rotation_factor=lots", ["augmentation.rotation_factor", "number", "'lots'"]),
    ],
)
def test_a_wrong_setting_is_refused_with_key_value_and_what_is_valid(
    recipe: Recipe, assignment: str, parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        override(recipe, [assignment])
    for part in parts:
        assert part in str(error.value)
    assert isinstance(error.value, UserError)
    assert "pydantic" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_group_without_known_settings_says_how_to_set_one(recipe: Recipe) -> None:
    bare = parse_recipe({"name": "r", "run_dir": "r", "data": {}, "model": {"name": "net"}})
    with pytest.raises(ConfigError, match=r"model\.options is a group; set .*model\.options\.NAME=VALUE"):
        override(bare, ["model.options=8"])


def test_all_wrong_values_of_a_tree_are_reported_together(recipe: Recipe) -> None:
    tree = recipe.model_dump()
    tree["optim"]["lr"] = tree["train"]["epochs"] = -1
    with pytest.raises(ConfigError, match=r"optim\.lr: .*; train\.epochs: "):
        parse_recipe(tree)


@pytest.mark.parametrize(
    ("assignment", "leaf", "value"),
    [
        ("evaluate.detections=none", "evaluate.detections", None),
        ("evaluate.detections=null", "evaluate.detections", None),
        ("data.shuffle=none", "data.shuffle", "none"),
        ("run_dir=2024", "run_dir", "2024"),
        ("run_dir=a,b", "run_dir", "a,b"),
        ("data.train=none", "data.train", None),
        ("data.crop_size=256x192", "data.crop_size", [256, 192]),
        ("data.crop_size=(256,192)", "data.crop_size", [256, 192]),
        ("optim.milestones=7,", "optim.milestones", [7]),
        ("optim.milestones=()", "optim.milestones", []),
        ("model.options.deconv_channels=64,32", "model.options.deconv_channels", [64, 32]),
        ("model.options.kind=resnext", "model.options.kind", "resnext"),
    ],
)
def test_a_word_is_read_as_what_its_setting_can_take(recipe: Recipe, assignment: str, leaf: str, value: object) -> None:
    assert leaves(override(recipe, [assignment]))[leaf] == value


def test_uniform_draws_replace_normal_ones_only_if_those_are_switched_off(recipe: Recipe) -> None:
    normal = override(recipe, ["augmentation.scale_factor=0.3"])
    with pytest.raises(ConfigError, match=r"augmentation: .*scale_factor and scale_range exclude each other, got 0\.3"):
        override(normal, ["augmentation.scale_range=0.7,1.3"])
    changed = override(normal, ["augmentation.scale_factor=0", "augmentation.scale_range=0.7,1.3"])
    assert changed.augmentation.scale_range == (0.7, 1.3)


def test_a_recipe_runs_in_a_folder_of_its_name_unless_it_says_otherwise(recipe: Recipe) -> None:
    tree = {"name": "fast", "data": {}, "model": {"name": "net"}}
    assert parse_recipe(tree).run_dir == "runs/fast"
    assert parse_recipe(tree | {"run_dir": "elsewhere"}).run_dir == "elsewhere"
    assert override(parse_recipe(tree), ["name=slow"]).run_dir == "runs/fast"
    with pytest.raises(ConfigError, match=r"^name: Field required$"):
        parse_recipe({name: value for name, value in tree.items() if name != "name"})


def test_a_variant_has_its_own_name_and_folder_and_the_given_leaves(recipe: Recipe) -> None:
    changed = variant(recipe, "net_256x192", "optim.lr=0.5", "model.plugin=enhancenet")
    assert (changed.name, changed.run_dir) == ("net_256x192", "runs/net_256x192")
    before, after = leaves(recipe), leaves(changed)
    assert {name for name in after if before[name] != after[name]} == {"name", "run_dir", "optim.lr", "model.plugin"}
    with pytest.raises(ConfigError, match=r"optim\.lrr"):
        variant(recipe, "x", "optim.lrr=1")


def test_a_later_assignment_wins_and_the_given_recipe_stays(recipe: Recipe) -> None:
    assert override(recipe, ["optim.lr=1", "optim.lr=2"]).optim.lr == 2
    override(recipe, ["model.options.width=99"])
    assert recipe.model.options == {"width": 32}
    assert override(recipe, []) == recipe


@pytest.mark.parametrize("path", ["name", "data.train", "optim.lr", "augmentation.scale_factor"])
def test_recipes_are_frozen(recipe: Recipe, path: str) -> None:
    *branches, leaf = path.split(".")
    node = value(recipe, ".".join(branches)) if branches else recipe
    with pytest.raises((ValidationError, AttributeError), match=re.compile("frozen|cannot assign", re.I)):
        setattr(node, leaf, 1)


def test_json_brings_back_the_same_recipe(recipe: Recipe) -> None:
    changed = override(
        recipe, ["data.crop_size=64,48", "optim.lr=0.1", "optim.milestones=3,4", "augmentation.scale_factor=0.3"]
    )
    again = parse_recipe(changed.to_json())
    assert again == changed
    assert again.to_json() == changed.to_json()


def test_json_with_an_unknown_setting_is_refused(recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match=r"optim\.momentum: Extra inputs"):
        parse_recipe(recipe.to_json().replace('"gamma"', '"momentum": 0.9, "gamma"'))
    with pytest.raises(ConfigError, match="JSON"):
        parse_recipe(recipe.to_json()[:-10])
    with pytest.raises(ConfigError, match=r"model: Field required"):
        parse_recipe({"name": "r", "run_dir": "r", "data": {}})


def test_leaves_are_every_setting_by_its_path(recipe: Recipe) -> None:
    found = leaves(recipe)
    assert found["optim.lr"] == 1e-3
    assert found["data.crop_size"] == [256, 192]
    assert found["model.options.width"] == 32
    assert found["augmentation.rotation_probability"] == 0.6
    assert not any(isinstance(v, dict) for v in found.values())
    for name, leaf in found.items():  # each leaf is a path that `override` takes
        text = "null" if leaf is None else str(leaf).replace("True", "true").replace("False", "false")
        assert leaves(override(recipe, [f"{name}={text}"])) == found, name


def test_a_misspelt_augmentation_is_refused(recipe: Recipe) -> None:
    tree = recipe.model_dump()
    tree["augmentation"]["rotation_facto"] = 30
    with pytest.raises(ConfigError, match=r"augmentation\.rotation_facto"):
        parse_recipe(tree)


@pytest.mark.parametrize("word", ["False", "false", "no", "off"])
def test_an_option_that_is_switched_off_in_words_is_false(recipe: Recipe, word: str) -> None:
    changed = override(recipe, [f"model.options.duc={word}", f"model.plugin_options.relu={word.upper()}"])
    assert changed.model.options["duc"] is False
    assert changed.model.plugin_options["relu"] is False
    assert override(recipe, ["model.options.fsm=none"]).model.options["fsm"] is None
    assert override(recipe, ["model.plugin_options.supervise=input,output"]).model.plugin_options == {
        "supervise": ["input", "output"]
    }


def test_settings_that_exclude_each_other_change_places_in_any_order(recipe: Recipe) -> None:
    varied = override(recipe, ["augmentation.scale_factor=0.3"])
    settings = ["augmentation.scale_range=0.7,1.3", "augmentation.scale_factor=0"]
    assert override(varied, settings) == override(varied, settings[::-1])
    with pytest.raises(ConfigError, match="scale_range"):
        override(varied, settings[:1])
