"""Which keypoints a recipe's public weights find, when no split and no checkpoint says so."""

from engine.config import ConfigError, Recipe
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, SKELETONS, Skeleton

_OF_BENCHMARK = {"coco": COCO_17, "mpii": MPII_16, "crowdpose": CROWDPOSE_14}


def skeleton_of_recipe(recipe: Recipe) -> Skeleton:
    """The one that data.skeleton names, else that of the benchmark in the recipe's name.

    Raises:
        ConfigError: neither tells.
    """
    named = recipe.data.skeleton
    if named is not None and named in SKELETONS:
        return SKELETONS[named]
    benchmarks = [one for one in recipe.name.lower().split("_") if one in _OF_BENCHMARK]
    if named is not None or len(benchmarks) != 1:
        raise ConfigError(
            f"which keypoints recipe {recipe.name} finds is not known; give data.skeleton, one of "
            f"{', '.join(SKELETONS)}" + (f", not {named}" if named is not None else "")
        )
    return _OF_BENCHMARK[benchmarks[0]]
