"""Splits of a domain's interactions into train, valid and test, as pure functions.

Each takes the interactions and a seed, and returns them, in the order they came, with a column
`split`; few_shot leaves some out. Which part a row falls in depends on no row order and on no hash
seed. Random choices are drawn from a stable hash of (seed, user, item), so that a filtered data set
splits its remaining users as before; a global cut in time and the exact number of cold users and
items are the only things that hang on all rows together.
"""

from crossrec.data.splits.cold import cold_items, cold_users
from crossrec.data.splits.fingerprint import split_fingerprint
from crossrec.data.splits.joint import joint_leave_one_out, later_elsewhere
from crossrec.data.splits.parts import TEST, TRAIN, VALID
from crossrec.data.splits.shared import export_split, from_file
from crossrec.data.splits.warm import few_shot, leave_one_out, ratio, temporal

__all__ = [
    "TEST",
    "TRAIN",
    "VALID",
    "cold_items",
    "cold_users",
    "export_split",
    "few_shot",
    "from_file",
    "joint_leave_one_out",
    "later_elsewhere",
    "leave_one_out",
    "ratio",
    "split_fingerprint",
    "temporal",
]
