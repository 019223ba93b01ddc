"""Text normalisers by name, applied alike to reference and hypothesis before words are compared.

======== ==========================================================================================================
english  Whisper's for English: lower case, no punctuation or diacritics, contractions written out ("don't" -> "do
         not"), numbers as digits ("twenty-three" -> "23"), titles written out, hesitations ("um", "mhm") and
         anything in brackets dropped. British and American spelling stay different: the list that maps one to the
         other is not part of the package.
basic    Whisper's for all other languages: lower case, no punctuation, anything in brackets dropped.
none     white space only.
======== ==========================================================================================================

The implementation is that of transformers (`transformers.models.whisper.english_normalizer`), which is OpenAI's.
"""

from collections.abc import Callable
from functools import cache

from m4ser.errors import UserError

NAMES = ("english", "basic", "none")


@cache
def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser `name`: text -> text, words separated by single blanks.

    Raises:
        UserError: there is none of that name.

    >>> normaliser("english")("Well, I don't know... [LAUGHTER] twenty-three?")
    'well i do not know 23'
    """
    if name not in NAMES:
        raise UserError(f"--normaliser {name}: unknown; choose one of {', '.join(NAMES)}")
    if name == "none":
        return _single_blanks
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    change = EnglishTextNormalizer({}) if name == "english" else BasicTextNormalizer()
    return lambda text: _single_blanks(change(text))


def _single_blanks(text: str) -> str:
    return " ".join(text.split())
