"""Fixtures that many tests share."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["POLARS_MAX_THREADS"] = "1"  # read as polars is imported
import numpy as np
import polars as pl
import pytest
import torch
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from crossrec import train
from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.pair import DomainPair, align
from crossrec.data.splits import leave_one_out
from crossrec.data.statistics.account import DomainAccount, as_json
from crossrec.data.statistics.plots import plot_domains
from crossrec.stages import collecting

REPOSITORY = Path(__file__).resolve().parents[1]
gc.disable()  # until all is imported: hundreds of thousands of objects that stay
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # commands that tests start share the cores, too
    del os.environ["POLARS_MAX_THREADS"]  # but have all of polars' threads: results are the same


def pytest_collection_finish() -> None:
    """From here on garbage is looked for again, but not among what the imports left."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads only wait for each other over tensors as small as a test's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that some tests read; they skip where it is absent."""
    folder = Path(os.environ.get("CROSSREC_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data absent: {folder} (set CROSSREC_REAL_DATA to run this test)")
    return folder


def pair_of(n_users: int) -> DomainPair:
    """Thirty items a domain: users like the items that are theirs modulo three."""
    generator = np.random.default_rng(0)
    rows: dict[str, list[tuple[str, str, float, int]]] = {"home": [], "tech": []}
    for user in range(n_users):
        for domain, n_events in (("home", 8), ("tech", int(generator.integers(1, 6)))):
            liked = generator.permutation(10)[:n_events] * 3 + user % 3
            times = np.sort(generator.choice(1000, n_events, replace=False))
            for item, time in zip(liked, times, strict=True):
                rows[domain].append(
                    (
                        f"u{user:02}",
                        f"{domain}{item:02}",
                        float(generator.integers(3, 6)),
                        int(time),
                    )
                )

    def table(domain: str) -> tuple[str, pl.DataFrame, pl.DataFrame]:
        events = pl.DataFrame(
            rows[domain], schema=[USER, ITEM, RATING, TIMESTAMP], orient="row"
        ).with_columns(pl.col(RATING).cast(pl.Float32), pl.lit(None).cast(pl.Int64).alias(POSITION))
        items = pl.DataFrame({ITEM: [f"{domain}{i:02}" for i in range(30)]}).with_columns(
            pl.lit(None).cast(pl.String).alias(column) for column in ITEM_COLUMNS[1:]
        )
        return domain, leave_one_out(events, seed=0), items

    return align(table("home"), table("tech"), "cut", TIMESTAMP)


@pytest.fixture(scope="session")
def small_pair() -> DomainPair:
    """Sixty users."""
    return pair_of(60)


@pytest.fixture(scope="session")
def larger_pair() -> DomainPair:
    """So many users that epochs put them into more, or fewer, batches than the first does."""
    return pair_of(400)


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


DRAWN: dict[str, bytes] = {}


def plot_domains_once(domains: Sequence[DomainAccount], title: str, path: Path) -> Path:
    """The picture that `plot_domains` made of the same, if it has: a fifth of a small run."""
    shown = f"{title}\n{as_json(domains)}"
    if shown not in DRAWN:
        DRAWN[shown] = plot_domains(domains, title, path).read_bytes()
    path.write_bytes(DRAWN[shown])
    return path


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ran]]:
    """`python -m crossrec.train`, in this process: the torch that is loaded need not load again."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # the command sets both: put back what was
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Hydra composes all once more to read hydra.mode, which nobody sets.
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)
    monkeypatch.setattr(collecting, "plot_domains", plot_domains_once)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(), logging.getLogger("crossrec.errors")]
    handlers = [logger.handlers[:] for logger in loggers]

    def run(*overrides: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["crossrec.train", *map(str, overrides)])
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code: object = 0
        try:
            train.command()
        except SystemExit as stop:
            code = stop.code
        wrote = capsys.readouterr()
        said = f"{code}\n" if isinstance(code, str) else ""  # as the interpreter would print it
        return Ran(1 if said else int(str(code or 0)), wrote.out, wrote.err + said)

    yield run
    for logger, before in zip(loggers, handlers, strict=True):
        for opened in set(logger.handlers) - set(before):
            opened.close()
        logger.handlers = before
    signal.signal(signal.SIGTERM, on_sigterm)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that make the main job a matter of a second: few shoppers, ids only, two epochs."""
    sizes = {"users": 90, "shared_users": 60, "items": 30}
    return [
        "+experiment=home_to_electronics",
        *(
            f"+data.reader.sizes.{domain}.{name}={value}"
            for domain in ("home", "electronics")
            for name, value in sizes.items()
        ),
        "encoder=none",
        "pretraining=off",
        "trainer.max_epochs=2",
        f"paths.data={tmp_path_factory.mktemp('data')}",
    ]


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer that knows the letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("reader")
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece(dict(zip(pieces, range(57), strict=True))))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True)), model_max_length=64
    ).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    network = BertConfig(vocab_size=57, intermediate_size=32, max_position_embeddings=64, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(network).save_pretrained(folder)
    return folder
