"""Text from elsewhere on the terminal: names of files can hold line breaks, terminal commands, and bytes of no text."""

import json
import unicodedata


def printable(text: str, keep: str = "") -> str:
    r"""A text with what does not print as escapes, as :func:`repr` has them; characters of ``keep`` stay.

    >>> printable("Straße 1\n\x1b[31m"), printable("caf\udce9"), printable("two\nlines\r", keep="\n")
    ('Straße 1\\n\\x1b[31m', 'caf\\udce9', 'two\nlines\\r')
    """
    if text.isprintable():
        return text
    return "".join(c if _prints(c) or c in keep else repr(c)[1:-1] for c in text)


def json_line(value: object) -> str:
    r"""A value as JSON on one line, with what does not print as escapes, from which JSON's readers get it back.

    >>> json_line({"name": "Straße\x9b1\udce9"})
    '{"name": "Straße\\u009b1\\udce9"}'
    """
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(c if _prints(c) else json.dumps(c)[1:-1] for c in text)


def _prints(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # all kinds of blanks
