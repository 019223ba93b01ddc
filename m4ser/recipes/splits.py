"""Folds for corpora that come without any, or with a split of their own."""

from collections import Counter
from collections.abc import Mapping

from m4ser.data.folds import PARTS, Fold, Folds, choose_dev_speakers, speaker_folds, split_dev
from m4ser.utils.errors import UserError


def group_speakers(utt2spk: Mapping[str, str], count: int, gender: Mapping[str, str] | None = None) -> list[list[str]]:
    """Divide the speakers into `count` groups, alike in number of speakers of each gender and of utterances.

    The same speakers and counts always give the same groups.
    """
    utts, gender = Counter(utt2spk.values()), gender or {}
    groups: list[list[str]] = [[] for _ in range(count)]
    same, held = Counter(), Counter()  # speakers of a gender and utterances in each group
    for speaker in sorted(utts, key=lambda speaker: (gender.get(speaker, ""), -utts[speaker], speaker)):
        own = gender.get(speaker, "")
        smallest = min(range(count), key=lambda i: (same[i, own], len(groups[i]), held[i]))
        groups[smallest].append(speaker)
        same[smallest, own] += 1
        held[smallest] += utts[speaker]
    return sorted(sorted(group) for group in groups)


def automatic_folds(
    name: str,
    utt2spk: Mapping[str, str],
    utt2emo: Mapping[str, str],
    count: int = 5,
    gender: Mapping[str, str] | None = None,
) -> Folds:
    """Speaker-disjoint folds for a corpus without a split: `count` groups of speakers, or one per speaker, test.

    A tenth of the speakers, at least one, is dev. With two speakers there is none to spare: each tenth utterance of
    each class of the training speaker is dev then.

    Raises:
        UserError: there is only one speaker.
    """
    speakers = len(set(utt2spk.values()))
    if speakers < 2:
        raise UserError(f"{name}: has one speaker only; a test needs speakers that were not trained, so add some")
    # Three speakers in two groups would leave a fold with one speaker for both train and dev.
    groups = group_speakers(utt2spk, speakers if speakers <= 3 else min(count, speakers), gender)
    made = Folds(f"{name}-{len(groups)}fold", f"{name}, {len(groups)} groups of speakers test in turn")
    if speakers > 2:
        dev = choose_dev_speakers(groups, max(1, min(speakers // 10, speakers // 2 - 1)), gender)
        made.folds = speaker_folds(utt2spk, groups, dev)
        made.description += f", {len(dev['1'])} of the other speakers dev"
        return made
    for number, (tester,) in enumerate(groups, 1):
        train, dev = split_dev((utt for utt in utt2spk if utt2spk[utt] != tester), utt2emo)
        made.folds[str(number)] = Fold(train, dev, sorted(utt for utt in utt2spk if utt2spk[utt] == tester))
    made.description += ", dev is each tenth utterance of each class of the training speaker"
    made.dev_speaker_disjoint = False
    return made


def folds_of_split(
    name: str, parts: Mapping[str, str], utt2spk: Mapping[str, str], utt2emo: Mapping[str, str], shared: bool = False
) -> Folds:
    """The one fold of a given split, `{utt: train|dev|test}`.

    Without dev, each eighth of the training speakers becomes dev, or with two or fewer each tenth utterance of each
    class. `shared` accepts test speakers that are trained; the folds then say so.

    Raises:
        UserError: test shares speakers with train or dev and `shared` is false.
    """
    fold = Fold(*([utt for utt in sorted(utt2spk) if parts[utt] == part] for part in PARTS))
    description = f"{name}, the given split"
    if not fold.dev:
        speakers = sorted({utt2spk[utt] for utt in fold.train})
        chosen = set(speakers[::8]) if len(speakers) > 2 else set()
        fold.dev = [utt for utt in fold.train if utt2spk[utt] in chosen]
        fold.train = [utt for utt in fold.train if utt2spk[utt] not in chosen]
        if not chosen:
            fold.train, fold.dev = split_dev(fold.train, utt2emo)
        description += ", dev is taken from train"
    train, dev, test = ({utt2spk[utt] for utt in getattr(fold, part)} for part in PARTS)
    if both := sorted(test & (train | dev)):
        if not shared:
            raise UserError(
                f"{name}: {len(both)} of {len(test)} test speakers are in train or dev too, e.g. {both[0]}; correct "
                "column split, leave it out for folds by speaker, or accept it with --shared-speakers true"
            )
        description += f" (shares {len(both)} of {len(test)} test speakers with train or dev)"
    if train & dev:
        description += " (dev shares speakers with train)"
    return Folds(name, description, folds={"1": fold}, speaker_disjoint=not both, dev_speaker_disjoint=not train & dev)
