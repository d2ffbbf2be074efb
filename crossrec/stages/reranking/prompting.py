"""Prompts: text files with placeholders, one's own or those that come with crossrec."""

from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from crossrec.errors import UserError

PROMPTS = Path(__file__).parent / "prompts"
HISTORY, ITEM, DOMAIN = "history", "item", "domain"


@dataclass(frozen=True)
class Prompt:
    """A text with the placeholders {history} and {item}, and perhaps {domain}.

    Attributes:
        text: as the file has it, without the line break at its end.
    """

    text: str

    @classmethod
    def read(cls, file: str | None, key: str, name: str) -> "Prompt":
        """The prompt in a file.

        Args:
            file: of one's own; None for the one that comes with crossrec.
            key: the setting that names the file.
            name: of the prompt that comes with crossrec ("yes_no").

        Raises:
            UserError: the file cannot be read, or its placeholders are not those that are filled.
        """
        path = Path(file).expanduser() if file is not None else PROMPTS / f"{name}.txt"
        try:
            text = path.read_text(encoding="utf-8").removesuffix("\n")
            found = {field for _, field, _, _ in Formatter().parse(text) if field is not None}
        except OSError as error:
            raise UserError(f"{key}={path}: cannot be read ({error.strerror})") from error
        except ValueError as error:  # no UTF-8, or a brace alone
            raise UserError(
                f"{key}={path}: {error}. Expected UTF-8 text in which a brace that is no "
                "placeholder is written twice: {{ or }}"
            ) from error
        if unknown := sorted(found - {HISTORY, ITEM, DOMAIN}):
            raise UserError(
                f"{key}={path}: nothing fills the placeholder {{{unknown[0]}}}; there are "
                "{history}, {item} and {domain}"
            )
        if missing := sorted({HISTORY, ITEM} - found):
            raise UserError(f"{key}={path}: the placeholder {{{missing[0]}}} is missing")
        return cls(text)

    def filled(self, history: str, item: str, domain: str) -> str:
        """The whole text."""
        return self.text.format(history=history, item=item, domain=domain)

    def split(self, history: str, item: str, domain: str) -> tuple[str, str]:
        """The text before the first {item}, which all items of a user share, and the rest.

        Blanks before {item} go to the rest: tokens begin with a blank, and seldom end in one.
        """
        texts = {HISTORY: history, ITEM: item, DOMAIN: domain}
        parts = list(Formatter().parse(self.text))
        first = next(place for place, part in enumerate(parts) if part[1] == ITEM)
        filled = [literal + (texts[field] if field else "") for literal, field, _, _ in parts]
        before = "".join(filled[:first]) + parts[first][0]
        shared = before.rstrip(" ")
        rest = item + "".join(filled[first + 1 :])
        return shared, before[len(shared) :] + rest
