"""The command: python -m crossrec.serve RUN

A run folder answers at once: recommendations for users in either domain, with no retraining when
they do something new. Nothing heavy is imported before the arguments are right.
"""

import argparse
import logging
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from crossrec.errors import UserError

log = logging.getLogger("crossrec.serve")
LOOPBACK = ("127.0.0.1", "localhost")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("crossrec").setLevel(logging.INFO)
    try:
        serve(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def serve(options: argparse.Namespace) -> None:
    """Open the run and answer until the process is stopped.

    Raises:
        UserError: the run cannot be opened, or the address is taken.
    """
    begun = time.monotonic()
    if not options.run.is_dir():
        raise UserError(f"{options.run}: no such folder; give the folder that training printed")

    import torch
    import uvicorn

    from crossrec.serving.api import build
    from crossrec.serving.journal import Journal
    from crossrec.serving.opening import Run
    from crossrec.serving.service import Service

    torch.set_num_threads(options.threads)
    journal = Journal(options.events) if options.events else None
    service = Service(Run(options.run, options.artifacts, options.device), journal)
    local = options.host in LOOPBACK
    app = build(service, [*LOOPBACK] if local else ["*"])
    if not local:
        log.warning(
            "warning: whoever reaches %s can ask and tell: there is no log-in", options.host
        )
    config = uvicorn.Config(app, log_level="warning", limit_concurrency=256, timeout_keep_alive=10)
    listening = _listen(options.host, options.port)
    log.info("serve      %s (%.1f s)", service.run.caption, time.monotonic() - begun)
    log.info("           http://%s:%d", options.host, listening.getsockname()[1])
    uvicorn.Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of a socket that says it is TCP does asyncio switch off Nagle's algorithm, which would
    # hold every answer back for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(f"cannot listen on {host}:{port} ({error}): give another --port") from error
    listening.listen()  # who asks from now on is answered
    return listening


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crossrec.serve",
        description="Answer with the models of a run: a page at /, JSON beside it (/openapi.json).",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        help="where the run's artifacts lie now (default: where its configuration says)",
    )
    parser.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help="keep new events and items in this file of JSON lines (default: in memory alone)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of one product (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
