"""Whose corpora are."""

import runpy
from pathlib import Path

import pytest

from m4ser.data.origin import identifier, licence_of, read_origins, write_origins
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def origin(name="A", licence="cc-by-4.0", **more):
    return {"name": name, "licence": licence, "languages": ["en"], "address": "https://example.org", **more}


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["cc-by-4.0"], "cc-by-4.0"),
        (["odbl", "odbl"], "odbl"),
        (["cc-by-4.0", "cc-by-nc-sa-4.0", "cc0-1.0"], "cc-by-nc-sa-4.0"),
        (["cc0-1.0", "cc-by-4.0"], "cc-by-4.0"),
        (["cc-by-nc-4.0", "cc-by-sa-4.0"], "other"),  # share alike forbids to add "non-commercial"
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], "other"),
        (["cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0"], "other"),
        (["cc-by-4.0", "odbl"], "other"),
        (["other", "cc0-1.0"], "other"),
    ],
)
def test_the_licence_of_several(licences, expected):
    assert licence_of([origin(licence=licence) for licence in licences]) == expected


def test_written_and_read_again(tmp_path):
    assert read_origins(tmp_path) == {}
    write_origins(tmp_path, {"a": origin(hub="org/a")})
    assert read_origins(tmp_path) == {"a": origin(hub="org/a")}
    write_origins(tmp_path, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["{", "[]", '{"a": {"name": 1}}', '{"a": {"name": "A"}}'])
def test_a_damaged_file(tmp_path, content):
    (tmp_path / "corpora.json").write_text(content)
    with pytest.raises(UserError, match=r"corpora\.json: damaged .* run stage 0 again"):
        read_origins(tmp_path)


@pytest.mark.parametrize("program", sorted(ROOT.glob("egs/*/local/prepare.py")), ids=lambda path: path.parents[1].name)
def test_every_recipe_of_one_corpus_declares_it(program):
    """As a hub takes it. egs/csv knows nothing of its corpus, others have theirs from their options or dumps."""
    from huggingface_hub.utils import validate_repo_id

    found = runpy.run_path(str(program)).get("ORIGIN")
    if program.parents[1].name in ("csv", "esd", "cross_corpus", "default_model", "ravdess_meld"):
        assert found is None
        return
    validate_repo_id(identifier(found))
    assert found["languages"] and all(len(code) == 2 for code in found["languages"])
    page = (program.parents[1] / "README.md").read_text(encoding="utf-8")
    if found["licence"].startswith("cc-by-4") or found["licence"].startswith("cc-by-nc-sa"):
        assert found["licence"].upper().replace("-", " ").replace("BY NC SA", "BY-NC-SA") in page  # CC BY-NC-SA 4.0
