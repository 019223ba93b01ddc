"""How many edits of a fold there are to learn, and which of dev's training has seen."""

from collections.abc import Iterable, Mapping

from m4ser.asr.alignment import Edits
from m4ser.data.folds import Fold


def counts(edits: Mapping[str, Edits], fold: Fold) -> dict[str, int]:
    """Targets of one fold; an utterance without is left out."""
    train, dev = ([edits[utt] for utt in part if utt in edits] for part in (fold.train, fold.dev))
    learned, wanted = _phrases(train), _phrases(dev)
    known, known_words = set(learned), {word for phrase in learned for word in phrase.split()}
    words = [word for phrase in wanted for word in phrase.split()]
    return {
        "words": sum(len(one.tags) // 2 for one in train),
        "superfluous": sum(one.tags[1::2].count("D") for one in train),
        "corrections": len(learned),
        "different": len(known),
        "dev_corrections": len(wanted),
        "dev_seen": sum(phrase in known for phrase in wanted),
        "dev_words": len(words),
        "dev_words_seen": sum(word in known_words for word in words),
    }


def _phrases(edits: Iterable[Edits]) -> list[str]:
    return [phrase for one in edits for _, phrase in one.changes]
