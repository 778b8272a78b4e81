"""An interrupt of a run alone (`kill -INT`) is passed on to the programs that it has started."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

GRACE_S = 5
_TIMES = 10


def pass_on_interrupts(end_programs: Callable[[], None]) -> None:
    """Let the programs of a run end that alone was interrupted.

    Snakemake would wait until they are done. Ctrl-C in a terminal reaches them too: what still
    runs after a moment was not told, and gets SIGTERM, at which trainings keep what they have;
    what starts in that moment gets it later.

    Parameters
    ----------
    end_programs
        Sends SIGTERM to all programs that run.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    heard: list[int] = []

    def wait_and_end() -> None:
        while os.read(told, 1) != bytes([signal.SIGINT]):
            pass
        # A signal that comes just before the main thread begins to wait does not wake it.
        main = threading.main_thread().ident
        for _ in range(GRACE_S):
            time.sleep(1)
            if not heard and main is not None:
                signal.pthread_kill(main, signal.SIGINT)
        for times in range(_TIMES):
            end_programs()
            time.sleep(GRACE_S * (2 + times))

    def interrupt(number: int, frame: FrameType | None) -> None:
        # No lock may be asked for here: what is interrupted may hold it, as when a thread begins.
        heard.append(number)
        signal.default_int_handler(number, frame)

    threading.Thread(target=wait_and_end, daemon=True).start()
    with suppress(ValueError):  # only a main thread hears of signals
        signal.signal(signal.SIGINT, interrupt)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
