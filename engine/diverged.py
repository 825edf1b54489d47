"""The error of numbers that are none any more."""

from pose.errors import UserError


class DivergedError(UserError, ArithmeticError):
    """A loss or a network's answers are no numbers; the message says what to do."""
