"""An append-only file of JSON lines: what the service was told, for the next time it starts."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from crossrec.errors import UserError

log = logging.getLogger(__name__)
Kind = Literal["event", "items"]


class Journal:
    """One line for each thing told: {"event": {...}} or {"items": {...}}.

    A line that a killed process left unfinished was answered to nobody: it is cut off.

    Args:
        file: made if it is not there.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self.stream = file.open("a+b")
        except OSError as error:
            raise UserError(f"--events {file}: cannot be opened ({error.strerror})") from error
        self._cut_off()

    def _cut_off(self) -> None:
        self.stream.seek(0)
        written = self.stream.read()
        whole = written.rfind(b"\n") + 1
        if whole < len(written):
            log.warning("events     %s: cut off an unfinished last line", self.file)
            self.stream.truncate(whole)
        self.stream.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[tuple[int, Kind, dict[str, Any]]]:
        """(number, kind, what was told) of every line.

        Raises:
            UserError: a line is none that `write` wrote.
        """
        self.stream.seek(0)
        for number, line in enumerate(self.stream, start=1):
            try:
                ((kind, told),) = json.loads(line).items()
            except (ValueError, AttributeError) as error:
                raise UserError(
                    f"--events {self.file}, line {number}: expected one JSON object with one key"
                ) from error
            yield number, kind, told
        self.stream.seek(0, os.SEEK_END)

    def write(self, kind: Kind, told: dict[str, Any]) -> None:
        """Append a line; when this returns, the system has it."""
        self.stream.write(json.dumps({kind: told}).encode() + b"\n")
        self.stream.flush()
