"""MovieLens as a folder of tables, to stand beside another kind of data in one pair.

    python experiments/guarded/movielens_tables.py DATA RELEASE OUTPUT

DATA is where the release lies or is put; OUTPUT gets interactions.parquet and items.parquet.
"""

import sys
from pathlib import Path

from crossrec.data.sources.movielens import MovieLens

data, release, output = sys.argv[1:]
folder = Path(output)
folder.mkdir(parents=True, exist_ok=True)
raw = MovieLens(data).read(release)
raw.interactions.sink_parquet(folder / "interactions.parquet")
raw.items.sink_parquet(folder / "items.parquet")
