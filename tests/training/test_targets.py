from m4ser.asr.alignment import align
from m4ser.data.folds import Fold
from m4ser.training.targets import describe, fold_counts, targets


def test_lines_and_counts():
    texts = {"a": ["go", "on", "now"], "b": ["no"], "c": ["hm"], "d": []}
    references = {"a": ["go", "home", "right", "now"], "b": ["no"], "d": ["yes"]}
    lines, stats = targets(texts, references)
    assert lines == {
        "a": '{"words": ["go", "on", "now"], "tags": "DKDDCKD", "changes": [[4, "home right"]]}',
        "b": '{"words": ["no"], "tags": "DKD", "changes": []}',
        "c": '{"words": ["hm"]}',
        "d": '{"words": [], "tags": "C", "changes": [[0, "yes"]]}',
    }
    assert stats == {
        **{"utterances": 4, "with_targets": 3, "words": 5, "reference_words": 6, "missing_words": 3, "empty": 1},
        **{"changed": 2, "keep": 3, "delete": 6, "change": 2, "deleted_words": 1},
    }
    assert describe(stats) == (
        "4 utterances, 5 words; 1 without reference transcript have no targets; 2 utterances differ from the "
        "reference; 3 words kept, 1 deleted, 3 to add at 2 places"
    )


def test_what_training_has_seen():
    edits = {
        "a": align(["go", "on", "now"], ["go", "home", "now"]),  # on -> home
        "b": align(["oh"], ["no", "way"]),  # oh -> no way
        "c": align(["on"], ["home"]),
        "d": align([], ["no", "entry"]),
        "test": align(["x"], ["y"]),
    }
    assert fold_counts(edits, Fold(["a", "b", "without"], ["c", "d"], ["test"])) == {
        **{"words": 4, "superfluous": 2, "corrections": 2, "different": 2},
        **{"dev_corrections": 2, "dev_seen": 1, "dev_words": 3, "dev_words_seen": 2},
    }
