"""What every command shares: a user's mistake ends it with one message and no traceback."""

import _thread
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from crossrec.artifacts import write_failure
from crossrec.configuration.composing import explain
from crossrec.errors import UserError

errors = logging.getLogger("crossrec.errors")  # goes to stderr, see conf/train.yaml
ERROR_FILE = "error.txt"
STOPPED = (
    "stopped. Nothing half-made was kept, finished stages were: the same command goes on from there"
)


@contextmanager
def heeding_stops() -> Iterator[None]:
    """SIGINT and SIGTERM end the work, whenever they come.

    One that arrives while Python runs a callback of its own (as an import or a collected object
    does) raises there, is reported as ignored, and would be lost: it is sent once more.
    """
    report = sys.unraisablehook

    def send_again(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt | SystemExit):
            report(lost)
            return
        number = signal.SIGINT if lost.exc_type is KeyboardInterrupt else signal.SIGTERM
        # Later, and from elsewhere: here it would be raised in the callback again.
        again = threading.Timer(0.05, _thread.interrupt_main, [number])
        again.daemon = True
        again.start()

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = report


def answer(main: Callable[[], None]) -> None:
    """Run a Hydra command as the shell calls it."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors over instead of printing them
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        with heeding_stops():
            main()
    except HydraException as error:
        sys.exit(f"error: {explain(error, sys.argv[1:])}")
    except ValueError as error:  # Hydra's own, of flags that do not go together
        if not str(error).startswith("Only one of --run"):
            raise
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # `--help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of the files that Hydra itself writes into the run folder
        complaint = write_failure(error, Path(error.filename or "the run folder"), "hydra.run.dir")
        if complaint is None:
            raise
        sys.exit(f"error: {complaint}")


def guard(work: Callable[[], None], folder: Path, in_sweep: bool) -> None:
    """Do the work of one run; if it fails, say why in one message and end with exit code 1.

    In a sweep the other jobs go on, and the message is left in the run folder as ERROR_FILE. An
    exception that is neither a user's mistake nor a full disk is a fault of crossrec: it keeps its
    traceback.
    """
    (folder / ERROR_FILE).unlink(missing_ok=True)
    try:
        work()
        return
    except (KeyboardInterrupt, SystemExit) as stop:
        for rank in multiprocessing.active_children():
            rank.terminate()
        errors.error("error: %s", STOPPED)
        raise SystemExit(143 if stop.args == (signal.SIGTERM,) else 130) from None
    except Exception as error:
        known = reason(error, folder)
        if known is None and not in_sweep:
            raise
        if known is None:
            errors.exception("a fault of crossrec itself:")
        message = known or repr(error)
    errors.error("error: %s", message)
    if not in_sweep:
        raise SystemExit(1)
    (folder / ERROR_FILE).write_text(message + "\n", encoding="utf-8")


def reason(error: Exception, folder: Path) -> str | None:
    """What a run failed for, in words for users; None if it is a fault of crossrec.

    Args:
        folder: of the run.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OmegaConfBaseException):
        return f"configuration: {str(error).splitlines()[0]}"
    return write_failure(error, folder, "hydra.run.dir")
