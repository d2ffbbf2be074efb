"""A stop that comes at a bad moment stops all the same."""

import signal
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from crossrec.configuration.shell import heeding_stops


class Thing:
    """What can be collected."""


@pytest.fixture(autouse=True)
def stops_exit() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    yield
    signal.signal(signal.SIGTERM, before)


def collect_and_be_told(number: signal.Signals) -> None:
    """The signal comes in the callback of a weak reference, where Python can raise nothing."""
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(number))
    del thing
    assert kept() is None
    for _ in range(1000):
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_stop_in_a_callback_is_not_lost(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    with pytest.raises(raised) as stop, heeding_stops():
        collect_and_be_told(number)
    if raised is SystemExit:
        assert stop.value.args == (signal.SIGTERM,)


def test_other_errors_in_callbacks_are_reported_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    thing = Thing()
    with heeding_stops():
        kept = weakref.ref(thing, lambda _: 1 / 0)
        del thing
        assert kept() is None
    assert told == [ZeroDivisionError]
