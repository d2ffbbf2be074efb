"""Energy that a stretch of work took, where the machine counts it."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

POWERCAP = Path("/sys/class/powercap")
PERIOD = 60.0  # seconds between readings: a processor's counter starts over after some minutes


@dataclass
class Counter:
    """A counter of energy.

    Attributes:
        read: joules since whenever.
        turn: joules after which it starts over at 0; 0 where it never does.
        last: the latest reading.
    """

    read: Callable[[], float]
    turn: float
    last: float

    def since(self) -> float:
        """Joules since the latest reading."""
        now = self.read()
        passed = now - self.last
        self.last = now
        return passed + self.turn if passed < 0 else passed


class Meter:
    """Counts the machine's energy between `with Meter() as meter:` and its end.

    Processors and their memory by Linux's powercap (RAPL), which on most machines root alone may
    read; NVIDIA GPUs by NVML, where the package nvidia-ml-py is installed (the extra "energy"),
    those of CUDA_VISIBLE_DEVICES where it has numbers. Counters are the machine's: whatever else
    runs on it is in them.
    """

    def __init__(self) -> None:
        self._counters = [*_processors(), *_gpus()]
        self._sum = 0.0
        self._lock, self._over = threading.Lock(), threading.Event()

    @property
    def joules(self) -> float | None:
        """So far; None where nothing counts."""
        if not self._counters:
            return None
        with self._lock:
            self._sum += sum(counter.since() for counter in self._counters)
            return self._sum

    def __enter__(self) -> Self:
        if self._counters:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            _ = self.joules


def _processors() -> list[Counter]:
    """A counter for each processor package and its memory; none that may not be read."""
    found = []
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):  # AMD's are called so, too

        def read(file: Path = zone / "energy_uj") -> float:
            return int(file.read_text()) / 1e6

        try:
            if (zone / "name").read_text().strip().startswith(("package", "dram")):
                turn = int((zone / "max_energy_range_uj").read_text()) / 1e6
                found.append(Counter(read, turn, read()))
        except (OSError, ValueError):
            continue
    return found


def _gpus() -> list[Counter]:
    """A counter for each NVIDIA GPU that this process may see; none without NVML."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        numbers = [int(number) for number in visible if number.strip().isdigit()]
        handles = map(
            pynvml.nvmlDeviceGetHandleByIndex, numbers or range(pynvml.nvmlDeviceGetCount())
        )
        found = []
        for handle in handles:

            def read(handle: object = handle) -> float:
                return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

            found.append(Counter(read, 0.0, read()))
        return found
    except pynvml.NVMLError:  # no driver, or a GPU that does not count
        return []
