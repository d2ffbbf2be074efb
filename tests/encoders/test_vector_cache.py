import logging
import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from crossrec.encoders.encode import encode
from crossrec.encoders.vector_cache import VectorCache

TEXTS = ["red oak chair", "lamp", "blue glass lamp", None, "steel pan", "lamp"]
THREE = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_what_was_added_is_found(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors")
    assert len(cache.look_up(["a"])[0]) == 0
    cache.add(["a", "b", ""], THREE)
    cache.add(["c"], np.array([[7.0, 8.0]], dtype=np.float32))
    places, vectors = VectorCache(tmp_path / "vectors").look_up(["x", "c", "", "y", "a"])
    assert dict(zip(places.tolist(), vectors.tolist(), strict=True)) == {
        1: [7.0, 8.0],
        2: [4.0, 5.0],
        4: [0.0, 1.0],
    }


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_a_damaged_segment_counts_as_absent(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = VectorCache(tmp_path)
    cache.add(["a", "b", "c"], THREE)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:-3], "changed": whole[:-1] + b"x", "emptied": b""}[damage])
    assert len(cache.look_up(["a"])[0]) == 0
    assert "is damaged" in caplog.text
    cache.add(["a", "b", "c"], THREE)  # which mends it
    assert len(cache.look_up(["a"])[0]) == 1


def add_forever(folder: Path) -> None:
    for number in range(10**9):
        VectorCache(folder).add([f"{number}"], np.full((1, 50_000), number, dtype=np.float32))


def test_two_processes_and_a_kill_leave_whole_segments(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_forever, args=(tmp_path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while len(list(tmp_path.glob("*.safetensors"))) < 5:
        time.sleep(0.01)
    for writer in writers:
        assert writer.pid is not None
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
    places, vectors = VectorCache(tmp_path).look_up([f"{number}" for number in range(5)])
    assert sorted(places.tolist()) == list(range(5))
    np.testing.assert_array_equal(vectors, np.repeat(places[:, None], 50_000, axis=1))


def test_a_second_run_reads_what_is_new_and_the_vectors_are_those_of_one_run(
    tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrec")
    encode(TEXTS[:3], tiny_bert, cache=tmp_path)
    assert "encoded 3 new of 3 texts (0 from cache)" in caplog.text
    again, mask = encode(TEXTS, tiny_bert, cache=tmp_path)
    assert "encoded 1 new of 4 texts (3 from cache)" in caplog.text
    np.testing.assert_array_equal(again, encode(TEXTS, tiny_bert)[0])
    assert mask.tolist() == [True, True, True, False, True, True]
    encode(TEXTS, tiny_bert, cache=tmp_path)
    assert "encoded 0 new of 4 texts (4 from cache)" in caplog.text


def test_another_way_of_reading_has_its_own_vectors(
    tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrec")
    ways = [
        {},
        {"pooling": "cls"},
        {"prefix": "red "},
        {"max_length": 4},
        {"dtype": "int8"},
        {"layers": [1]},
        {"normalize": False},
    ]
    for way in ways:
        caplog.clear()
        vectors, _ = encode(["red oak chair", "lamp"], tiny_bert, cache=tmp_path, **way)
        assert "encoded 2 new of 2 texts" in caplog.text, way
        np.testing.assert_array_equal(
            vectors, encode(["red oak chair", "lamp"], tiny_bert, **way)[0]
        )
    assert len(list(tmp_path.iterdir())) == len(ways) - 1  # a prefix makes another text
