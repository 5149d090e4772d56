"""Many threads at the same thing."""

import threading
from collections.abc import Callable


def at_once(count: int, work: Callable[[int], object]) -> None:
    """Run work(0) to work(count - 1), each in a thread of its own, all starting together; raises what one raised."""
    errors, barrier = [], threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
