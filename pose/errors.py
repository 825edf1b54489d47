"""The one base class of errors that a user can mend: the command line prints their message without a traceback."""


class UserError(Exception):
    """The message names the file, key or setting, what was found, and what to do."""
