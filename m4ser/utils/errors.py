"""The one exception that is shown to a user as a single line, and what others say, on one line."""


class UserError(Exception):
    """Something the user can act on: the message names the file, the fault and the remedy.

    Commands print it as one line and exit with status 1 (see :mod:`m4ser.utils.cli`); no traceback.
    """


class DamagedFileError(UserError):
    """A file that does not parse. Whoever knows what made it catches this and names the better remedy."""


def first_line(error: BaseException) -> str:
    r"""The first line of what an exception says; its type if it says nothing.

    >>> first_line(ValueError("no such key\nTraceback ...")), first_line(KeyError())
    ('no such key', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
