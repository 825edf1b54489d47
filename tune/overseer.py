"""What becomes of a training on Ray when some of its processes fail: another attempt, or the end."""

import re
from typing import Any

from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.controller.state import ReschedulingState, SchedulingState

from tune.failure import would_repeat
from tune.lines import Lines


class Overseer(WorkerGroupCallback, ControllerCallback):
    """Lives in Ray's controller. Says what happens to the workers; ends the training if another attempt would fail in
    the same way, which Ray itself cannot know."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._verdict: Exception | None = None
        self._number, self._waiting = 0, False

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        errors = dict(worker_group_status.errors)
        self._verdict = repeating(errors)
        if self._verdict is None:
            for line in failures(errors):
                self._lines.tell(line)

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:
        if self._verdict is not None:
            raise self._verdict

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        if isinstance(current_state, SchedulingState):
            self._starting(current_state.scaling_decision.num_workers, isinstance(previous_state, ReschedulingState))
        elif isinstance(current_state, ReschedulingState) and not self._waiting:
            self._waiting = True
            self._lines.tell("the workers could not be started; waiting until there is room for them")

    def _starting(self, number: int, again: bool) -> None:
        if number != self._number or not again:
            self._number, self._waiting = number, False
            self._lines.tell(f"starting {number} worker{'s' if number > 1 else ''}")


def repeating(errors: dict[int, Exception]) -> Exception | None:
    """The error of the first worker whose error would come again."""
    final = [error for _, error in sorted(errors.items()) if would_repeat(error)]
    return final[0] if final else None


def failures(errors: dict[int, Exception]) -> list[str]:
    """A line for each worker that failed. Where one died the others only lost their connections, and are left out."""
    dead = {rank: error for rank, error in errors.items() if isinstance(error, WorkerHealthCheckFailedError)}
    return [_failure(rank, error) for rank, error in sorted((dead or errors).items())]


def _failure(rank: int, error: Exception) -> str:
    if isinstance(error, WorkerHealthCheckFailedError) and isinstance(error.health_check_failure, RayActorError):
        where = re.search(r"\bip: (\S+)", str(error.health_check_failure))
        machine = f" on {where[1].rstrip('.')}" if where else ""
        return f"worker {rank}{machine} died: it was killed, ran out of memory, or its machine is gone"
    words = [line for line in str(error).splitlines() if line.strip()]
    return f"worker {rank} failed: {type(error).__name__}: {words[0].strip() if words else ''}"
