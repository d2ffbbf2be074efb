"""The one exception that a user's mistake raises; the command line prints its message alone."""


class UserError(ValueError):
    """Something the user can mend: a file, a key, a value.

    The message is all that the command line prints, so it names the file (and line) or the key,
    says what was expected, what was found, and what to do about it.
    """
