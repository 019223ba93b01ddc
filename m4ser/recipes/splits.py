"""Ways to divide a corpus into folds: groups that test in turn, automatic groups, a given split."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from m4ser.data.datadir import Utterance
from m4ser.data.folds import PARTS, Fold, Folds, choose_dev_speakers, speaker_folds, split_dev
from m4ser.utils.errors import UserError


def leave_groups_out(
    name: str,
    description: str,
    utterances: Iterable[Utterance],
    groups: Mapping[str, Collection[str]] | Sequence[Collection[str]],
    dev: int | Mapping[str, Collection[str]],
    gender: Mapping[str, str] | None = None,
) -> Folds:
    """Folds in which each group of speakers tests in turn and all who neither test nor are dev train.

    Args:
        name: of the protocol: results are compared only within one.
        description: of the protocol, in a few words.
        utterances: of the corpus.
        groups: test speakers of each fold, `{fold: speakers}` or a list (folds `"1"`, `"2"`, ...).
        dev: how many speakers of the following groups select the model, or which ones in each fold.
        gender: `{speaker: gender}`, for genders to take turns as dev speakers.

    Raises:
        UserError: there are too few speakers.
    """
    dev_speakers = choose_dev_speakers(groups, dev, gender) if isinstance(dev, int) else dev
    folds = speaker_folds({utt.utt_id: utt.speaker for utt in utterances}, groups, dev_speakers)
    return Folds(name, description, folds=folds)


def group_speakers(utt2spk: Mapping[str, str], count: int, gender: Mapping[str, str] | None = None) -> list[list[str]]:
    """Divide the speakers into `count` groups, alike in number of speakers of each gender and of utterances.

    The same speakers and counts always give the same groups.
    """
    utts, gender = Counter(utt2spk.values()), gender or {}
    groups: list[list[str]] = [[] for _ in range(count)]
    same: Counter[tuple[int, str]] = Counter()  # speakers of a gender in each group
    held: Counter[int] = Counter()  # utterances in each group
    for speaker in sorted(utts, key=lambda speaker: (gender.get(speaker, ""), -utts[speaker], speaker)):
        speaker_gender = gender.get(speaker, "")
        smallest = min(range(count), key=lambda i: (same[i, speaker_gender], len(groups[i]), held[i]))
        groups[smallest].append(speaker)
        same[smallest, speaker_gender] += 1
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
    folds = Folds(f"{name}-{len(groups)}fold", f"{name}, {len(groups)} groups of speakers test in turn")
    if speakers > 2:
        dev_speakers = choose_dev_speakers(groups, max(1, min(speakers // 10, speakers // 2 - 1)), gender)
        folds.folds = speaker_folds(utt2spk, groups, dev_speakers)
        folds.description += f", {len(dev_speakers['1'])} of the other speakers dev"
        return folds
    for number, (tester,) in enumerate(groups, 1):
        train, dev = split_dev((utt for utt in utt2spk if utt2spk[utt] != tester), utt2emo)
        folds.folds[str(number)] = Fold(train, dev, sorted(utt for utt in utt2spk if utt2spk[utt] == tester))
    folds.description += ", dev is each tenth utterance of each class of the training speaker"
    folds.dev_speaker_disjoint = False
    return folds


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
