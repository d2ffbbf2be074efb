"""Prompts are files: what they may hold, and what is said of those that cannot be filled."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.errors import UserError
from crossrec.stages.reranking.prompting import PROMPTS, Prompt


@pytest.mark.parametrize("file", sorted(PROMPTS.glob("*.txt")), ids=lambda file: file.stem)
def test_every_prompt_of_ours_can_be_filled(file: Path) -> None:
    text = Prompt.read(None, "reranking.prompt", file.stem).filled("H", "I", "D")
    assert "{" not in text
    assert "H" in text
    assert "I" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{history} {item} {user}", r"nothing fills the placeholder \{user\}; there are \{history"),
        ("{history} {}", r"nothing fills the placeholder \{\}"),
        ("{history} {item.title}", r"nothing fills the placeholder \{item.title\}"),
        ("{item}", r"the placeholder \{history\} is missing"),
        ("{history}", r"the placeholder \{item\} is missing"),
        ("{history} {item", "a brace that is no placeholder is written twice"),
        ("{history} } {item}", "a brace that is no placeholder is written twice"),
        (b"\xff{history}{item}", "Expected UTF-8 text"),
    ],
)
def test_a_prompt_that_cannot_be_filled(tmp_path: Path, text: str | bytes, said: str) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said) as error:
        Prompt.read(str(file), "reranking.prompt", "yes_no")
    assert str(error.value).startswith(f"reranking.prompt={file}: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"recommend.writer_prompt=.*: cannot be read \(No such"):
        Prompt.read(str(tmp_path / "none"), "recommend.writer_prompt", "reason")


def test_where_a_prompt_is_split() -> None:
    prompt = Prompt("In {domain}, {{so}}:\n{history}\nNext:  {item}? ({item})\nAnswer:")
    assert prompt.split("- a", "b", "toys") == (
        "In toys, {so}:\n- a\nNext:",
        "  b? (b)\nAnswer:",
    )
    late = Prompt("{item} after {history}")
    assert late.split("x{item}", "y", "") == ("", "y after x{item}")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(["{history}", "{item}", "{domain}", " ", "a", "{{", "\n"])),
    *[st.text(max_size=4)] * 3,
)
def test_the_parts_make_the_whole(parts: list[str], history: str, item: str, domain: str) -> None:
    prompt = Prompt("".join([*parts, "{history}{item}"]))
    before, rest = prompt.split(history, item, domain)
    assert before + rest == prompt.filled(history, item, domain)
    assert not before.endswith(" ")


def test_one_line_break_at_the_end_is_the_editors(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("{history}{item}\nAnswer:\n\n")
    assert Prompt.read(str(file), "k", "yes_no").text == "{history}{item}\nAnswer:\n"
