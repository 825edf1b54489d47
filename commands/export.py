"""A trained network as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from commands.screen import say


def export(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECKPOINT] [KEY=VALUE...]",
            help="A .ckpt file of a training run, or its URI, and settings of its recipe, e.g. heatmap.decoding=dark",
        ),
    ] = None,
    onnx: Annotated[str, typer.Option(help="The file to write")] = "network.onnx",
    decode: Annotated[bool, typer.Option("--decode", help="Answer with keypoints and scores, not heatmaps")] = False,
    uint8: Annotated[bool, typer.Option("--uint8", help="Take uint8 RGB crops and normalise them inside")] = False,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 18 to 23")] = 18,
    recipe: Annotated[str | None, typer.Option(help="With --weights: a recipe's name, or a path to its file")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Instead of CHECKPOINT: a public checkpoint of the recipe's network")
    ] = None,
) -> None:
    """Write a trained network as one ONNX file that runs without posestream and PyTorch.

    The file takes any batch; for whole pictures also any size. It says itself how crops are made and what the
    keypoints are. It is compared with PyTorch, and kept only if both agree. The flip test is not inside.

    Example: `posestream export runs/people/best.ckpt --onnx people.onnx --decode --uint8`, or
    `posestream export --recipe hrnet_w32_coco_256x192 --weights pose_hrnet_w32_256x192.pth --onnx hrnet.onnx`
    """
    from commands.chosen_recipe import chosen_recipe
    from engine.export import export_checkpoint, export_network
    from engine.export_network import ExportSettings
    from engine.predict_skeleton import skeleton_of_recipe
    from engine.remote_file import local_file
    from engine.trained import PublicWeights

    words, wanted = list(given or []), ExportSettings(decode, uint8, opset)
    if weights is None:
        if not words or recipe is not None:
            raise typer.BadParameter("give one of them", param_hint="CHECKPOINT, --recipe with --weights")
        exported = export_checkpoint(local_file(words[0]), onnx, wanted, words[1:])
    else:
        if recipe is None:
            raise typer.BadParameter("say of which recipe's network the --weights are", param_hint="--recipe")
        chosen = chosen_recipe(recipe, words)
        exported = export_network(chosen, skeleton_of_recipe(chosen), PublicWeights(weights), onnx, wanted)
    for title, shapes in (("input", exported.inputs), ("output", exported.outputs)):
        for name, shape in shapes.items():
            say(f"{title} {name}: {' x '.join(map(str, shape))}")
    for one in exported.differences:
        unit = "px" if one.name == "keypoints" else f"of up to {one.size:.3g}"
        left_out = f", {one.of - one.compared} of {one.of} numbers too close to call" if one.compared < one.of else ""
        say(f"{one.name}: at most {one.largest:.2g} {unit} off PyTorch{left_out}")
    say(f"{exported.path}, {exported.megabytes:.1f} MB")
