"""The learning rate as a pure function of the step."""

import math

from engine.config import OptimConfig


def learning_rate(config: OptimConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The rate for batch `step`, counted from the start of training."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        progress = step / (steps_per_epoch * epochs)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    passed = sum(step // steps_per_epoch >= milestone for milestone in config.milestones)
    return config.lr * config.gamma**passed
