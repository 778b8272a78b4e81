"""Time limits of tests, which grow with what else the machine has to do.

A limit is there to end a test that hangs. On a busy machine a program that does not hang takes
many times as long, too.
"""

import os
import time
from collections.abc import Callable

LOOK_EVERY_S = 0.2


def stretch_limit(limit_s: float) -> float:
    """Multiply a limit by the programs that wait for each core, if they are more than one."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return limit_s * max(1.0, waiting)


def wait_until(
    is_so: Callable[[], bool], limit_s: float, look_every_s: float = LOOK_EVERY_S
) -> bool:
    """Wait until something is so; False if it is not within the limit, stretched anew each time."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > stretch_limit(limit_s):
            return False
        time.sleep(look_every_s)
    return True
