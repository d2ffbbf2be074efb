"""What a stretch of work cost: seconds, energy, memory."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from crossrec.energy import Meter


@contextmanager
def measured() -> Iterator[dict[str, float | None]]:
    """Holds, at its end, seconds, joules (None where the machine does not count them) and
    peak_memory, the most main memory that the process had held by then, in bytes."""
    cost: dict[str, float | None] = {}
    start = time.monotonic()
    with Meter() as meter:
        yield cost
        joules = meter.joules
    cost["seconds"] = round(time.monotonic() - start, 3)
    cost["joules"] = None if joules is None else round(joules, 1)
    cost["peak_memory"] = peak_memory()


def peak_memory() -> int:
    """Bytes of main memory that this process, or one that it started, has held at the most."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others KiB
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return unit * max(resource.getrusage(each).ru_maxrss for each in who)
