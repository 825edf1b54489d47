"""Lines that processes anywhere in a cluster tell the one that waits for them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import ray
from ray.exceptions import RayError
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_LAST_WORDS_S = 10.0


class Lines:
    """A text file for consoles: each line that is written to it is said elsewhere. It travels to other processes."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._begun = queue, ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            if line.strip():
                self.tell(line.rstrip())
        return len(text)

    def flush(self) -> None:
        pass

    def tell(self, line: str) -> None:
        """What nobody hears any more is no reason to stop working."""
        with suppress(RayError):
            self._queue.put(line)


@contextmanager
def heard(say: Callable[[str], None]) -> Iterator[Lines]:
    """Lines that are said while they come, in order, and in the end until none is left."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})  # other machines may go away
    ended = threading.Event()

    def listen() -> None:
        with suppress(RayError):
            while not ended.is_set() or not queue.empty():
                with suppress(Empty):
                    say(queue.get(timeout=0.5))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield Lines(queue)
    finally:
        ended.set()
        listener.join(_LAST_WORDS_S)
        with suppress(RayError):  # the cluster may be gone
            queue.shutdown(force=True)
