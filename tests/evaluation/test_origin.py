"""What rows say of the run that made them."""

import json
from pathlib import Path

import polars as pl

from crossrec.evaluation.origin import ORIGIN, config_digest, joined, origin_of, with_origin

RECORD = {
    "crossrec": "1.0",
    "python": "3.11.2",
    "packages": {"torch": "2.13.0"},
    "commit": "0123456789abcdef",
    "uncommitted_changes": True,
    "seed": 3,
    "config_digest": "c0ffee",
    "data_fingerprint": "f00d",
}


def record(folder: Path, **changed: object) -> Path:
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(RECORD | changed))
    return folder


def test_a_row_names_seed_configuration_data_commit_and_versions(tmp_path: Path) -> None:
    rows = with_origin(pl.DataFrame({"value": [0.5, 0.6]}), record(tmp_path / "run"))
    assert rows.columns == ["value", *ORIGIN]
    made = ("3", "c0ffee", "f00d", "0123456789+", "crossrec 1.0 python 3.11.2 torch 2.13.0")
    assert rows.rows() == [(0.5, *made), (0.6, *made)]


def test_a_run_that_has_not_ended_is_told_its_data(tmp_path: Path) -> None:
    folder = record(tmp_path / "run", data_fingerprint=None)
    assert with_origin(pl.DataFrame({"value": [1.0]}), folder, "beef")["fingerprint"][0] == "beef"


def test_runs_without_a_record_say_nothing(tmp_path: Path) -> None:
    assert origin_of(tmp_path) == dict.fromkeys(ORIGIN)
    assert with_origin(pl.DataFrame({"value": [1.0]}), tmp_path)["seed"].to_list() == [None]


def test_a_row_over_seeds_names_each_thing_once(tmp_path: Path) -> None:
    runs = [record(tmp_path / str(seed), seed=seed, data_fingerprint="ab") for seed in (0, 1)]
    assert joined(runs) == origin_of(runs[0]) | {"seed": "0 1"}


def test_the_digest_is_of_what_decides_the_numbers() -> None:
    config = {
        "name": "run",
        "seed": 0,
        "paths": {"data": "/somewhere"},
        "data": {"source": "/somewhere/tables/home", "reader": {"seed": 0, "folder": "/some/raw"}},
        "transfer": {"lambda": 1.0},
    }
    elsewhere = json.loads(json.dumps(config).replace("/some", "/else/some"))
    assert config_digest(config) == config_digest(elsewhere | {"seed": 5, "name": "other"})
    assert config_digest(config) != config_digest(config | {"transfer": {"lambda": 2.0}})
    assert config_digest(config) != config_digest(config | {"data": {"source": "/somewhere/news"}})
    assert len(config_digest(config)) == 12
