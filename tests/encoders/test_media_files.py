"""Files of items: which are found, which are missing or damaged, and how they are read."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from crossrec.encoders.media_files import (
    DamagedError,
    check_found,
    find_files,
    read_picture,
    read_sound,
    warn_of_damaged,
)
from crossrec.errors import UserError


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), shade, dtype=np.uint8)).save(path)
    return path


def test_files_are_found_where_the_column_says(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    one = picture(first / "pictures" / "one.png")
    alike = picture(second / "alike.png")
    spaced = picture(second / "two words.png", shade=9)
    references = [
        "pictures/one.png",
        "alike.png",
        "two words.png",
        "gone.png alike.png",
        str(one),
        "gone.png",
        "https://example.org/a.jpg",
        None,
        "",
    ]
    files = find_files("image", references, [[first, second]] * len(references))
    assert files.paths == [one, alike, spaced, alike, one, None, None, None, None]
    assert files.missing == {
        "name no file": 2,
        "name a web address": 1,
        "name a file that is not there": 1,
    }
    # Equal content is one file to read, whatever it is called.
    assert files.digests[0] == files.digests[1] != files.digests[2]
    assert list(files.distinct.values()) == [one, spaced]
    assert files.n_items == 5


def test_the_key_is_what_is_in_the_files(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")

    def key() -> str:
        return find_files("image", ["a.png", None], [[tmp_path]] * 2).key()

    before = key()
    assert key() == before
    moved = find_files("image", ["b/a.png", None], [[tmp_path]] * 2)
    assert moved.key() != before
    picture(tmp_path / "b" / "a.png")
    assert find_files("image", ["b/a.png", None], [[tmp_path]] * 2).key() == before
    picture(path, shade=1)
    assert key() != before


def test_what_is_missing_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "a.png")
    with caplog.at_level(logging.INFO):
        check_found(find_files("image", ["a.png", "b.png", None], [[tmp_path]] * 3), "there")
    assert "pictures of 1 of 3 items (1 name no file, 1 name a file that is not there)" in (
        caplog.text
    )


@pytest.mark.parametrize(
    ("reference", "why"),
    [(None, "2 name no file"), ("https://a.org/b.png", "2 name a web address")],
)
def test_no_file_at_all_names_the_column_and_the_place(reference: str | None, why: str) -> None:
    files = find_files("audio", [reference] * 2, [[Path("/none")]] * 2)
    with pytest.raises(UserError, match=rf"\({why}\).*column 'audio'.*relative to /none"):
        check_found(files, "/none")


def test_damaged_files_are_named(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_damaged("image", {})
    assert not caplog.text
    warn_of_damaged("image", {Path(f"/p/{number}.png"): "cut off" for number in range(5)})
    assert "5 damaged files count as missing (/p/0.png: cut off; /p/1.png" in caplog.text
    assert "and 2 more" in caplog.text


def test_pictures_become_rgb_and_damaged_ones_say_so(tmp_path: Path) -> None:
    Image.new("LA", (3, 2), (200, 128)).save(tmp_path / "gray.png")
    assert read_picture(tmp_path / "gray.png").mode == "RGB"
    whole = picture(tmp_path / "a.png").read_bytes()
    for name, content in (("cut.png", whole[:45]), ("text.png", b"hello"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedError):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_sounds_are_mixed_and_scaled(tmp_path: Path, kind: type) -> None:
    """Half of the loudest in one channel and silence in the other: a quarter."""
    half = {np.uint8: 192, np.int16: 2**14, np.int32: 2**30, np.float32: 0.5}[kind]
    silence = 128 if kind is np.uint8 else 0
    wavfile.write(tmp_path / "a.wav", 8000, np.full((100, 2), [half, silence], dtype=kind))
    sound = read_sound(tmp_path / "a.wav", 8000, seconds=1.0)
    assert sound.dtype == np.float32
    np.testing.assert_allclose(sound, 0.25, atol=1e-6)


def test_sounds_are_resampled_and_cut_to_their_middle(tmp_path: Path) -> None:
    rate = 8000
    times = np.arange(3 * rate) / rate
    loud = np.where((times >= 1) & (times < 2), np.sin(2 * np.pi * 440 * times), 0.0)
    wavfile.write(tmp_path / "a.wav", rate, loud.astype(np.float32))
    middle = read_sound(tmp_path / "a.wav", 16_000, seconds=1.0)
    assert len(middle) == 16_000
    assert np.abs(np.fft.rfft(middle)).argmax() == 440  # one second: the bin is the pitch
    assert len(read_sound(tmp_path / "a.wav", 16_000, seconds=10.0)) == 48_000


def test_damaged_sounds_say_so(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "none.wav", 8000, np.zeros(0, dtype=np.int16))
    (tmp_path / "text.wav").write_text("hello")
    for name in ("none.wav", "text.wav"):
        with pytest.raises(DamagedError):
            read_sound(tmp_path / name, 8000, 1.0)


def test_other_formats_name_the_package_that_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    try:
        import soundfile  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install soundfile"):
            read_sound(tmp_path / "a.flac", 8000, 1.0)
