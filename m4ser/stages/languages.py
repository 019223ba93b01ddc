"""What a recipe takes by default where its corpus is not English: multilingual models, if they are installed."""

import re

from m4ser.pretrained import resolve
from m4ser.stages.names import DEFAULT_ASR
from m4ser.utils.errors import UserError

RECOGNISER, ENCODER = "offline:whisper-base-ct2", "offline:whisper-base"
_CODE = re.compile("[a-z]{2,3}")


def of_language(language: str, pretrained_dir: str, asr: str) -> tuple[dict[str, str], str]:
    """Defaults of options for a language, and a line that says which they are.

    Without a recogniser that knows the language the reference text is taken.

    Args:
        language: code such as `de`.
        pretrained_dir: where models are looked for first.
        asr: recogniser that is asked for; the model is one of :data:`DEFAULT_ASR`.

    Raises:
        UserError: that is no code of a language.
    """
    if not _CODE.fullmatch(language):
        raise UserError(f"--speech-language {language}: must be a code such as de or pl")
    recogniser = asr != DEFAULT_ASR or _is_there(RECOGNISER, pretrained_dir)
    encoder = _is_there(ENCODER, pretrained_dir)
    defaults = {
        "asr_conf": f"language={language}",
        "normaliser": "basic",
        "text_source": "asr" if recogniser else "ref",
    }
    if asr == DEFAULT_ASR and recogniser:
        defaults["asr_model"] = RECOGNISER
    if encoder:
        defaults["speech_encoder"] = ENCODER
    text = f"text of {defaults.get('asr_model', asr)}" if recogniser else "reference text"
    heard = f"features of {ENCODER}" if encoder else "features of an English encoder"
    remedy = "" if recogniser and encoder else "; multilingual models: make -C tools base-models"
    return defaults, f"note: language {language}: by default {text}, {heard}{remedy}"


def _is_there(model: str, pretrained_dir: str) -> bool:
    try:
        resolve(model, pretrained_dir or None)
    except UserError:
        return False
    return True
