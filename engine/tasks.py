"""A recipe → its task."""

from engine.bottomup import BottomUpTask
from engine.config import Recipe
from engine.task import Task
from engine.topdown import TopDownTask
from models.score_net import PoseScorer
from pose.skeletons import Skeleton


def make_task(recipe: Recipe, skeleton: Skeleton, scorer: PoseScorer | None = None) -> Task:
    """Bottom-up where the recipe says how; `scorer` then ranks the poses."""
    if recipe.bottomup is None:
        return TopDownTask(recipe, skeleton)
    return BottomUpTask(recipe, recipe.bottomup, skeleton, scorer)
