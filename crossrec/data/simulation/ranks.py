"""Running numbers for files whose ids are such: they tell nothing, and lead back to the ids."""

from collections.abc import Sequence


def ranks(ids: Sequence[str]) -> list[int]:
    """The place of each id in alphabetical order, from 0: `sorted(ids)[rank]` is the id again."""
    place = {name: number for number, name in enumerate(sorted(ids))}
    return [place[name] for name in ids]
