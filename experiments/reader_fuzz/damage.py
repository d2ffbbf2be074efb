"""Ways in which a file gets damaged, and what is left of its lines."""

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from samples import Sample

HUGE = 5 << 20  # bytes of a line that no reader takes
_TIME = re.compile(rb"(?<!\d)15\d{8}(?=(000)?(?!\d))")
_UNITS = (b"", b"000", b"000000", b"000000000")
_SEPARATORS = (b'"\t"', b'";"', b"::", b"\t", b";", b"|", b",")


@dataclass(frozen=True)
class Damaged:
    """A file after damage, or what stands in its place.

    Attributes:
        content: the bytes that are there now; None: a folder stands there.
        equal: the table must come out as if nothing had happened.
        refused: reading must fail.
    """

    content: bytes | None
    equal: bool = False
    refused: bool = False


Damage = Callable[[Random, Sample, str], Damaged | None]  # None: cannot happen to this file


def _truncated(random: Random, sample: Sample, name: str) -> Damaged:
    content = sample.files[name]
    return Damaged(content[: random.randrange(len(content))])


def _flipped(random: Random, sample: Sample, name: str) -> Damaged:
    content = bytearray(sample.files[name])
    for _ in range(random.randint(1, 3)):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return Damaged(bytes(content))


def _inserted(random: Random, sample: Sample, name: str) -> Damaged:
    content = sample.files[name]
    at = random.randrange(len(content) + 1)
    return Damaged(content[:at] + random.randbytes(random.randint(1, 20)) + content[at:])


def _typed(random: Random, sample: Sample, name: str) -> Damaged:
    """Characters that mean something to a parser."""
    content = sample.files[name]
    at = random.randrange(len(content) + 1)
    marks = "".join(random.choices("\"'\\\n\r\t ,;:|{}[]0e-.uN\x00\x1f", k=random.randint(1, 3)))
    return Damaged(content[:at] + marks.encode() + content[at:])


def _deleted(random: Random, sample: Sample, name: str) -> Damaged:
    content = sample.files[name]
    at = random.randrange(len(content))
    return Damaged(content[:at] + content[at + random.randint(1, 20) :])


def _zeroed(random: Random, sample: Sample, name: str) -> Damaged:
    content = sample.files[name]
    at = random.randrange(len(content))
    hole = min(random.choice((1, 50, 500)), len(content) - at)
    return Damaged(content[:at] + bytes(hole) + content[at + hole :])


def _wide(random: Random, sample: Sample, name: str) -> Damaged | None:
    try:
        text = sample.files[name].decode()
    except UnicodeDecodeError:
        text = sample.files[name].decode("latin-1")
    return Damaged(text.encode(random.choice(("utf-16", "utf-16-le", "utf-32"))), refused=True)


def _other_encoding(random: Random, sample: Sample, name: str) -> Damaged | None:
    try:
        text = sample.files[name].decode()
    except UnicodeDecodeError:  # latin-1 as published
        return Damaged(sample.files[name].decode("latin-1").encode(), equal=True)
    content = text.encode(random.choice(("latin-1", "cp1252")), errors="replace")
    if content == sample.files[name]:
        return None
    return Damaged(content, refused=not name.endswith(("u.item", "movies.dat", "tags.dat")))


def _other_separator(random: Random, sample: Sample, name: str) -> Damaged | None:
    content = sample.files[name]
    if content[:1] in (b"{", b"r"):  # JSON has its own
        return None
    used = _separator(content)
    other = random.choice([mark for mark in (b"\t", b"^", b" ") if mark not in used])
    return Damaged(content.replace(used, other), refused=True)


def _separator(line: bytes) -> bytes:
    return next((mark for mark in _SEPARATORS if mark in line.split(b"\n")[0]), b",")


def _huge_line(random: Random, sample: Sample, name: str) -> Damaged:
    lines = sample.files[name].split(b"\n")
    at = random.randrange(1, len(lines))
    return Damaged(b"\n".join([*lines[:at], b"x" * HUGE, *lines[at:]]))


def _huge_field(random: Random, sample: Sample, name: str) -> Damaged:
    content = sample.files[name]
    at = random.randrange(len(content))
    return Damaged(content[:at] + b"x" * HUGE + content[at:])


def _repeated_line(random: Random, sample: Sample, name: str) -> Damaged:
    lines = sample.files[name].split(b"\n")
    at = random.randrange(1, len(lines))
    return Damaged(b"\n".join([*lines[:at], lines[random.randrange(at)], *lines[at:]]))


def _header_again(random: Random, sample: Sample, name: str) -> Damaged | None:
    if name not in sample.has_header:
        return None
    lines = sample.files[name].split(b"\n")
    at = random.randrange(1, len(lines))
    return Damaged(b"\n".join([*lines[:at], lines[0], *lines[at:]]))


def _header_gone(random: Random, sample: Sample, name: str) -> Damaged | None:
    if name not in sample.has_header:
        return None
    return Damaged(sample.files[name].split(b"\n", 1)[1])


def _column_twice(random: Random, sample: Sample, name: str) -> Damaged | None:
    if name not in sample.has_header or name.endswith("reviews.txt"):
        return None
    header, rest = sample.files[name].split(b"\n", 1)
    names = re.findall(rb"[\w:-]+", header)
    one, two = random.sample(names, 2)
    return Damaged(re.sub(rb"(?<![\w:-])%b(?![\w:-])" % one, two, header) + b"\n" + rest)


def _mixed_units(random: Random, sample: Sample, name: str) -> Damaged | None:
    def unit(match: re.Match[bytes]) -> bytes:
        return match[0] + (b"" if match[1] else random.choice(_UNITS))

    content = sample.files[name]
    if name != sample.events or not _TIME.search(content):
        return None
    return Damaged(_TIME.sub(unit, content), equal=True)


def _fields_moved(random: Random, sample: Sample, name: str) -> Damaged:
    """A field of one line is repeated, left out, or swapped with another."""
    content = sample.files[name]
    lines = content.split(b"\n")
    at = random.randrange(1, len(lines) - 1)
    mark = b", " if content[:1] in (b"{", b"r") else _separator(lines[at])
    fields = lines[at].split(mark)
    one, two = random.randrange(len(fields)), random.randrange(len(fields))
    kind = random.choice(("repeat", "leave out", "swap", "empty"))
    if kind == "repeat":
        fields.insert(two, fields[one])
    elif kind == "leave out":
        del fields[one]
    elif kind == "swap":
        fields[one], fields[two] = fields[two], fields[one]
    else:
        fields[one] = b""
    lines[at] = mark.join(fields)
    return Damaged(b"\n".join(lines))


def _swapped(random: Random, sample: Sample, name: str) -> Damaged | None:
    others = [other for other in sample.files if other != name]
    if not others or name in sample.optional:  # interactions have item_id, so they pass for items
        return None
    return Damaged(sample.files[random.choice(others)], refused=True)


def _emptied(random: Random, sample: Sample, name: str) -> Damaged:
    return Damaged(random.choice((b"", b"\n", b"\xef\xbb\xbf", b" \n\r\n")), refused=True)


def _folder(random: Random, sample: Sample, name: str) -> Damaged:
    return Damaged(None, refused=name not in sample.optional)


def _spaced(random: Random, sample: Sample, name: str) -> Damaged | None:
    """What changes nothing: other line ends, a mark, no end of the last line, blank lines."""
    content = sample.files[name]
    if sample.slack:  # line ends are part of its texts
        return Damaged(content.rstrip(b"\n"), equal=True)
    kinds = [content.replace(b"\n", b"\r\n"), content.rstrip(b"\n"), content + b"\n\n"]
    lines = content.split(b"\n")
    at = random.randrange(1, len(lines))
    kinds.append(b"\n".join([*lines[:at], b"", *lines[at:]]))
    if content.isascii() or name not in LATIN:
        kinds.append(b"\xef\xbb\xbf" + content)
    return Damaged(random.choice(kinds), equal=True)


def _packed(random: Random, sample: Sample, name: str) -> Damaged | None:
    """A gzip file under the name of the plain one; whole, truncated, or with a bit flipped."""
    if name in sample.plain:
        return None
    content = gzip.compress(sample.files[name], mtime=0)
    kind = random.choice(("whole", "cut", "flipped"))
    if kind == "cut":
        return Damaged(content[: random.randrange(2, len(content))], refused=True)
    if kind == "flipped":
        at = random.randrange(10, len(content))
        changed = bytes([content[at] ^ 1 << random.randrange(8)])
        return Damaged(content[:at] + changed + content[at + 1 :])
    return Damaged(content, equal=True)


LATIN = (
    *("ml-100k/u.item", "ml-1m/movies.dat", "hetrec2011-lastfm-2k/tags.dat"),
    *("book_crossing/BX-Books.csv", "book_crossing/BX-Book-Ratings.csv"),
)
BINARY: dict[str, Damage] = {
    "truncated": _truncated,
    "bits flipped": _flipped,
    "bytes inserted": _inserted,
    "bytes deleted": _deleted,
    "zeros": _zeroed,
    "files swapped": _swapped,
    "empty": _emptied,
    "a folder": _folder,
}
TEXT: dict[str, Damage] = BINARY | {
    "marks inserted": _typed,
    "UTF-16 or 32": _wide,
    "another encoding": _other_encoding,
    "another separator": _other_separator,
    "huge line": _huge_line,
    "huge field": _huge_field,
    "line repeated": _repeated_line,
    "header again": _header_again,
    "header gone": _header_gone,
    "column named twice": _column_twice,
    "mixed time units": _mixed_units,
    "fields moved": _fields_moved,
    "spacing": _spaced,
    "gzip": _packed,
}


def changed_lines(before: bytes, after: bytes) -> tuple[list[bytes], list[bytes]]:
    """The lines that are gone and those that are new, between what begins and ends alike."""
    old, new = (re.split(rb"\r?\n", text.removesuffix(b"\n")) for text in (before, after))
    start = _n_alike(old, new)
    old, new = old[start:], new[start:]
    end = _n_alike(old[::-1], new[::-1])
    return old[: len(old) - end], new[: len(new) - end]


def _n_alike(old: list[bytes], new: list[bytes]) -> int:
    """How many lines are equal from the start."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
