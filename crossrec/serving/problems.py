"""Why the service does not do what it was asked; each becomes one HTTP status."""


class Problem(Exception):
    """A request that cannot be answered; its text says why and what to do instead.

    Attributes:
        status: of the HTTP answer.
    """

    status = 400


class Unknown(Problem):
    """There is no such user, item or domain."""

    status = 404


class Refused(Problem):
    """This run cannot do it, whatever is sent."""

    status = 409


class Full(Problem):
    """The service holds as much as it may."""

    status = 507
