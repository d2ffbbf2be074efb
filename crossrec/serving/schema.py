"""What may be sent and what comes back: lengths and counts are bounded, unknown keys refused."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_BODY = 1024 * 1024  # bytes of a request
MOST_RECOMMENDED = 100
MOST_HISTORY = 200
MOST_ITEMS = 20  # at once: the language model reads some ten a second
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Name = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=2_000)]  # of an item 1,000 are read


class Sent(BaseModel):
    """Whatever a client sends."""

    model_config = ConfigDict(extra="forbid", strict=False)


class How(Sent):
    """How to recommend."""

    domain: Name = Field(description="name of a domain, or source or target")
    n: int = Field(10, ge=1, le=MOST_RECOMMENDED, description="items of each list")
    reasons: int = Field(1, ge=0, le=2, description="reasons of each item")
    hot: float = Field(0.0, ge=0.0, le=1.0, description="share of recent events of all users")
    half_life: str = Field(
        "1d",
        pattern=r"^[1-9][0-9]{0,3}[smhdw]$",
        description="after which a recent event is worth half: 30m, 1d",
    )

    @property
    def seconds(self) -> float:
        """The half-life in seconds."""
        return int(self.half_life[:-1]) * SECONDS[self.half_life[-1]]


class AskedByUser(How):
    """GET /recommendations."""

    user: Name


class Did(Sent):
    """Something that somebody did with an item."""

    domain: Name
    item: Name


class Asked(How):
    """POST /recommendations: a user, a history of somebody else, or what if a user did more."""

    user: Name | None = None
    history: list[Did] = Field(default=[], max_length=MOST_HISTORY)


class NewEvent(Did):
    """POST /events."""

    user: Name


class NewItem(Sent):
    """An item by its text; the language model reads the fields that it read of all others."""

    item: Name
    title: Annotated[str, Field(max_length=500)] = ""
    brand: Annotated[str, Field(max_length=500)] = ""
    categories: Annotated[str, Field(max_length=1_000)] = ""
    features: Text = ""
    description: Text = ""
    keywords: Text = ""

    def columns(self) -> dict[str, str]:
        """What it has, by the columns of an item table."""
        given = {name: text for name, text in self.model_dump().items() if text}
        return {"item_id": given.pop("item"), **given}


class NewItems(Sent):
    """POST /items."""

    domain: Name
    items: list[NewItem] = Field(min_length=1, max_length=MOST_ITEMS)


class User(Sent):
    """GET /history."""

    user: Name


class UsersSearched(Sent):
    """GET /users."""

    search: str = Field("", max_length=256)
    limit: int = Field(20, ge=1, le=100)


class Searched(UsersSearched):
    """GET /items."""

    domain: Name


class Item(BaseModel):
    """An item; without a title its id has to do."""

    item: str
    title: str | None


class DomainItem(Item):
    """An item of either domain."""

    domain: str


class Reason(DomainItem):
    """An item of the history, and by how much the score falls without it."""

    drop: float


class Recommended(Item):
    """An item of a list."""

    rank: int
    score: float
    reasons: list[Reason]


class Recommendations(BaseModel):
    """A list for each row of the results table that is served."""

    user: str | None
    domain: str
    lists: dict[str, list[Recommended]]


class Told(BaseModel):
    """Answer to a new event."""

    new_events: int = Field(description="of this user since the service began")


class Added(BaseModel):
    """Answer to new items: their ids."""

    items: list[str]


class Items(BaseModel):
    """Items that were found."""

    items: list[Item]


class History(BaseModel):
    """What is known of a user, oldest first."""

    user: str
    history: list[DomainItem]


class Users(BaseModel):
    """Users that were found."""

    users: list[str]


class About(BaseModel):
    """What is served."""

    run: str
    caption: str
    domains: dict[str, dict[str, Any]]
    takes_events: bool
    takes_items: bool


class Complaint(BaseModel):
    """Why a request was not done, and what to do instead."""

    error: str
