"""The one exception that is shown to a user as a single line."""


class UserError(Exception):
    """Something the user can act on: the message names the file, the fault and the remedy.

    Commands print it as one line and exit with status 1 (see :mod:`m4ser.utils.cli`); no traceback.
    """


class DamagedFileError(UserError):
    """A file that does not parse. Whoever knows what made it catches this and names the better remedy."""
