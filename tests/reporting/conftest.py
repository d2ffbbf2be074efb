"""Run folders as a run leaves them, and a browser to look at pages with."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import save_file

from crossrec.evaluation.results import write_results
from crossrec.evaluation.summary import Results

HOSTILE = "<script>alert('x')</script> & \"Pots\" {{ 7*7 }} $x_1$ 50% <img src=http://x.test/a>"
N_ITEMS, N_USERS = 20, 40


def make_run(
    folder: Path,
    seed: int = 0,
    lambda_: float = 1.0,
    mu: float = 1.0,
    method: str = "l2_sp",
    title: str = HOSTILE,
    target: str = "electronics",
) -> Path:
    """A finished run of two rows and some baselines, with everything that a report looks for."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng([seed, round(100 * lambda_), round(100 * mu)])
    rows = {"popularity": 0.2, "scratch": 0.4, "transferred": 0.7}
    per_user = pl.concat(_rows(name, share, draw) for name, share in rows.items())
    caption = f"toy: home -> {target}; seed {seed}. {title}"
    write_results(folder, per_user, Results.of(per_user, N_ITEMS), caption, N_ITEMS)
    ids = [f"i{i}" for i in range(N_ITEMS)]
    counts = pl.Series("n_train", np.arange(N_ITEMS)[::-1])
    pl.DataFrame({"item_id": ids, "n_train": counts}).write_parquet(folder / "catalog.parquet")
    _people(folder, title, target)
    for stage in ("source", "scratch", "transfer"):
        curve = folder / "curves" / stage / "metrics.csv"
        curve.parent.mkdir(parents=True)
        curve.write_text(
            "epoch,step,train/loss,valid/ndcg@10\n0,1,,0.1\n0,1,5,\n1,2,,0.2\n1,2,4,\n"
        )
    artifacts = folder.parent / "artifacts"
    encoded = artifacts / "encode-1"
    if not encoded.exists():
        encoded.mkdir(parents=True)
        vectors = {
            name: draw.normal(size=(30, 8)).astype(np.float32) for name in ("source", "target")
        }
        save_file(vectors, encoded / "content.safetensors")
        (encoded / "artifact.json").write_text(json.dumps({"inputs": {"whiten_dim": None}}))
    made = {"reused": False, "seconds": 2.5, "peak_memory": 3_000_000, "bytes": 1234}
    record = {
        "command": ["train.py", f"+data.title={title}"],
        "seed": seed,
        "commit": "abcdef0123456789",
        "data_fingerprint": f"world{seed}",
        "artifacts": {"encode": "encode-1"},
        "validation": {"scratch": {"ndcg@10": 0.1}, "transferred": {"ndcg@10": lambda_}},
        "costs": {"transfer": {**made, "parameters": 4321}, "evaluate": made},
    }
    (folder / "record.json").write_text(json.dumps(record))
    config = {
        "seed": seed,
        "transfer": {"name": method, "lambda": lambda_, "mu": mu},
        "model": {"_target_": "x.TwoTower"},
        "data": {"source": "a/home", "target": f"b/{target}", "simulated": True},
        "paths": {"artifacts": str(artifacts)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / ".hydra").mkdir()
    overrides = [f"seed={seed}", f"transfer={method}", f"data.target=b/{target}"]
    overrides += [f"transfer.lambda={lambda_}", f"transfer.mu={mu}"]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return folder


def _rows(model: str, share: float, draw: np.random.Generator) -> pl.DataFrame:
    """The model has that share of the held-out items first, and all others eleventh."""
    found = draw.random(N_USERS) < share
    lists = np.tile(np.arange(10, dtype=np.int32), (N_USERS, 1))
    user = np.arange(N_USERS)
    columns = {f"{name}@10": found.astype(float) for name in ("recall", "ndcg", "mrr")}
    return pl.DataFrame(
        {
            "model": [model] * N_USERS,
            "user_id": [f"u{i:02}" for i in user],
            "group": np.where(user < 15, "cold", "warm"),
            "shared": user % 2 == 0,
            "n_train": user // 4,
            **columns,
            "top_items": lists,
            "truth_items": [[i % N_ITEMS] for i in user],
            "truth_ranks": [[1 if hit else 11] for hit in found],
        }
    ).with_columns(pl.col("truth_items", "truth_ranks").cast(pl.List(pl.Int32)))


def _people(folder: Path, title: str, target: str) -> None:
    parts = ["source", "source", "target", "held out"]
    events = {"part": parts, "item_id": [f"i{i}" for i in range(4)], "title": [title, None] * 2}
    pl.concat(
        pl.DataFrame({"user_id": user, "n_train": 3, "shared": True, **events})
        for user in ("u00", "u01")
    ).write_parquet(folder / "examples.parquet")
    rows = [
        (domain, f"u{user:02}", rank, f"i{rank}", f"{title} {rank}", 1 / rank, f"because {title}")
        for domain in (target, "home")
        for user in range(N_USERS)
        for rank in range(1, 11)
    ]
    names = ["domain", "user_id", "rank", "item_id", "title", "score", "reason"]
    pl.DataFrame(rows, names, orient="row").write_parquet(folder / "recommendations.parquet")


@pytest.fixture(scope="session")
def finished() -> Callable[..., Path]:
    """Makes a run folder."""
    return make_run


class Chromium:
    """A headless Chromium that answers its devtools protocol on two pipes."""

    def __init__(self, program: str, profile: Path) -> None:
        here_in, there_out = os.pipe()
        there_in, here_out = os.pipe()

        def connect() -> None:  # the protocol's pipes are descriptors 3 and 4
            os.dup2(there_in, 103)
            os.dup2(there_out, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}"],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there_in)
        os.close(there_out)
        self.reading, self.writing = here_in, here_out
        self.rest, self.number = b"", 0
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    session: str | None = None

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            read = os.read(self.reading, 1 << 16)
            assert read, "the browser is gone"
            self.rest += read
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def open(self, page: Path, width: int, dark: bool = False) -> None:
        """Load a page at a width in CSS pixels; forgets earlier events."""
        self.events = []
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + 30
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            assert time.monotonic() < deadline
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """A key of the keyboard."""
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Tab": 9, "Enter": 13}[key]
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def close(self) -> None:
        """End the browser that was started."""
        self.process.kill()
        self.process.wait()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser; tests that ask for it skip where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = os.environ.get("CROSSREC_CHROMIUM") or next(
        filter(None, map(shutil.which, names)), None
    )
    if program is None:
        pytest.skip("NO CHROMIUM: the page was not looked at in a browser (CROSSREC_CHROMIUM=PATH)")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
