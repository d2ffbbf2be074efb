"""The one vocabulary of column names that every table in crossrec speaks.

Interactions: USER, ITEM (strings), RATING (float32, null where there is none), TIMESTAMP (int64
unix seconds, null where unknown), POSITION (int64 order of the user's events where the source
publishes order but no time, else null), REVIEW (string, null where there is none).

Items: ITEM (string, unique), TITLE, DESCRIPTION, CATEGORIES, BRAND (or author, artist, publisher),
KEYWORDS, FEATURES (bullet points), IMAGE and AUDIO (URLs or paths, several joined by a space);
strings, null where unknown; a category path is joined with " > ".
"""

USER = "user_id"
ITEM = "item_id"
RATING = "rating"
TIMESTAMP = "timestamp"
POSITION = "position"
REVIEW = "review"

TITLE = "title"
DESCRIPTION = "description"
CATEGORIES = "categories"
BRAND = "brand"
KEYWORDS = "keywords"
FEATURES = "features"
IMAGE = "image"
AUDIO = "audio"

INTERACTION_COLUMNS = (USER, ITEM, RATING, TIMESTAMP, POSITION, REVIEW)
ITEM_COLUMNS = (ITEM, TITLE, DESCRIPTION, CATEGORIES, BRAND, KEYWORDS, FEATURES, IMAGE, AUDIO)

ROW = "row"
"""The number of a cleaned event in the raw table that its review is still in."""

SPLIT = "split"
IN_SOURCE = "in_source"
"""Whether the user of a target event is known from a source by then, as splits are told (Boolean):
has events there, and before the first one here where there is a time to tell."""

LATER_ELSEWHERE = "later_elsewhere"
"""How many events of the same user the other domain (or domains) has after an event, as splits are
told (int64); absent where nothing orders the events of both."""

PAD = -1
"""The item code that marks no event in a padded batch."""
