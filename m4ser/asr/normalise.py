"""Text normalisers by name, applied alike to reference and hypothesis before words are compared.

======== ==========================================================================================================
english  Whisper's for English: lower case, no punctuation or diacritics, contractions written out ("don't" -> "do
         not"), numbers as digits ("twenty-three" -> "23"), titles written out, hesitations ("um", "mhm") and
         anything in brackets dropped. Differs from OpenAI's in two points, see below.
basic    Whisper's for all other languages: lower case, no punctuation, anything in brackets dropped.
none     white space only.
======== ==========================================================================================================

The implementation is that of the package whisper-normalization, which is OpenAI's; transformers has the same rules. But
in `english` "oh", "o" and "o'clock" stay words: Whisper's rules read them as zero, "Oh no" -> "0 no", "eleven o'clock"
-> "110 clock", and the text is not only compared here, models of emotion read it. And British and American spelling
stay different, as they do in transformers. In `english` and `basic` nothing remains of words without a letter or digit
("..."), and typographic apostrophes are plain ones.
"""

import re
from collections.abc import Callable
from functools import cache

from m4ser.utils.errors import UserError

# Private characters, which Whisper's rules leave alone, stand for these words.
NOT_NUMBERS = {"o'clock": "\ue000", "oh": "\ue001", "o": "\ue002"}
NOT_NUMBER = re.compile(rf"\b({'|'.join(NOT_NUMBERS)})\b", re.IGNORECASE)
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
    from whisper_normalization import BasicTextNormalizer, EnglishTextNormalizer

    change = BasicTextNormalizer()
    if name == "english":
        change = EnglishTextNormalizer()
        change.standardize_spellings = _single_blanks
    words_kept = NOT_NUMBERS if name == "english" else {}

    def normalise(text: str) -> str:
        text = text.replace("’", "'")
        if words_kept:
            text = NOT_NUMBER.sub(lambda match: words_kept[match[0].lower()], text)
        text = change(text)
        for word, stand_in in words_kept.items():
            text = text.replace(stand_in, word)
        return " ".join(word for word in text.split() if any(map(str.isalnum, word)))

    return normalise


def _single_blanks(text: str) -> str:
    return " ".join(text.split())
