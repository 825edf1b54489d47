"""The built-in skeletons. Made from their definitions."""

from markdown_table import markdown_table

from pose.skeletons import SKELETONS, Skeleton


def skeleton_reference() -> str:
    return "\n".join(f"### `{name}`\n\n{_table(skeleton)}" for name, skeleton in SKELETONS.items())


def _table(skeleton: Skeleton) -> str:
    return markdown_table(
        ["index", "keypoint", "in a mirror", "OKS sigma"],
        [
            [str(index), f"`{name}`", f"`{skeleton.keypoint_names[skeleton.flip_indices[index]]}`", f"{sigma:g}"]
            for index, (name, sigma) in enumerate(zip(skeleton.keypoint_names, skeleton.oks_sigmas, strict=True))
        ],
    )
