"""A time limit for the learner's code: an endless loop must not hang the notebook for ever.

A timer of the operating system raises TimeUp in the main thread, where notebooks run their cells, at its next step of
Python. So it stops any loop in Python, and a sleep. It does not stop one long call into compiled code before that comes
back, nor threads or processes that the code has started, and in another thread than the main one there is no limit.
"""

import signal
import threading
import time

AGAIN = 0.5  # seconds after which TimeUp is raised once more, where a bare `except:` has caught the first


class TimeUp(BaseException):
    """The time is over. No Exception, so that `except Exception` in the code that is stopped does not catch it."""


class Limit:
    """A context that raises TimeUp in its body after so many seconds; a timer that was running before goes on."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.running = seconds, False

    def __enter__(self) -> "Limit":
        if threading.current_thread() is threading.main_thread():
            self.running, self.began = True, time.monotonic()
            self.handler = signal.signal(signal.SIGALRM, self._raise)
            self.timer = signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Give the timer back; to call it once more does nothing."""
        if not self.running:
            return
        self.running = False
        left, interval = self.timer
        if left:
            left = max(left - (time.monotonic() - self.began), 1e-3)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.handler or signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, left, interval)

    def _raise(self, number: int, frame: object) -> None:
        if self.running:
            raise TimeUp
