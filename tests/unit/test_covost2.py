"""CoVoST 2: one table or three, releases that lack clips, cleaning; its toy."""

import pytest
from test_common_voice import write

from s3prl_sb.corpora.covost2 import clean, prepare_covost2
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

MARKS = ("train", "train_covost", "dev", "test")
HEADER = "client_id\tpath\tsentence"


def prepared(*args, **kwargs):
    paths = prepare_covost2(*args, **kwargs)
    return {split: manifest.read(path) for split, path in paths.items()}


@pytest.fixture
def corpus(tmp_path):
    """English, and a table of translations; one clip is not validated any more."""
    rows = [f"who\t{mark}.mp3\tWell, {mark}!" for mark in MARKS]
    write(tmp_path / "en", rows, HEADER, ("validated.tsv",))
    lines = [f'{mark}.mp3\tNun: \\"{mark}\\"\t{mark}' for mark in MARKS]
    translations(tmp_path, [*lines, "gone.mp3\tWeg.\ttrain"])
    return tmp_path


def translations(folder, lines):
    table = folder / "covost_v2.en_de.tsv"
    table.write_text("\n".join(["path\ttranslation\tsplit", *lines]) + "\n")


def test_training_is_both_marks_and_missing_rows_are_counted(corpus, caplog):
    splits = prepared(corpus, corpus / "save")
    assert {n: sorted(r) for n, r in splits.items()} == {
        "train": ["train", "train_covost"],
        "valid": ["dev"],
        "test": ["test"],
    }
    record = splits["test"]["test"]
    assert record["text"] == 'Nun: "test"' and record["transcription"] == "well test"
    assert record["duration"] == 0.1
    assert "1 of 5 clips are not in validated.tsv, such as gone.mp3" in caplog.text
    assert "2 translations of train, and 289430 are published" in caplog.text


def test_tables_of_each_split(corpus):
    """As CoVoST's script writes them, in a folder of their own."""
    folder = corpus / "tables"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        line = f"{name}.mp3\tWell, {name}!\tNun\twho"
        table = folder / f"covost_v2.en_de.{name}.tsv"
        table.write_text(f"path\tsentence\ttranslation\tclient_id\n{line}\n")
    splits = prepared(corpus, corpus / "save", translations=str(folder))
    assert [r["text"] for r in splits["train"].values()] == ["Nun"]
    (corpus / "en/validated.tsv").unlink()  # not needed
    assert prepared(corpus, corpus / "other", translations=str(folder)) == splits


@pytest.mark.parametrize(
    "lines, words",
    [
        (["dev.mp3\tNun\ttraining"], ":2: split 'training' is none of train, "),
        (["dev.mp3\tNun\tdev", "dev.mp3\tNun\ttest"], ":3: dev.mp3 again"),
        (["other.mp3\tNun\ttrain"], "no clip of train is in "),
    ],
)
def test_errors_name_the_line(corpus, lines, words):
    translations(corpus, lines)
    with pytest.raises(ManifestError, match=words):
        prepare_covost2(corpus, corpus / "save")


def test_translations_that_are_not_there(corpus):
    with pytest.raises(ManifestError, match="gone.tsv: no such file or folder. Set "):
        prepare_covost2(corpus, corpus / "save", translations=str(corpus / "gone.tsv"))


def test_another_pair_lists_those_that_are_there(corpus):
    with pytest.raises(ManifestError, match="There are covost_v2.en_de.tsv. Unpack"):
        prepare_covost2(corpus, corpus / "save", target="tr")


def test_languages_without_spaces_are_not_compared_by_words():
    assert clean("you went to the old bridge", "你去了老桥", "en", "zh-CN")
    assert clean("one", "eins zwei drei vier fünf sechs", "en", "de") is None
    assert clean("...", "eins", "en", "de") is None  # nothing to recognise


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.covost2 import CLAUSE, GERMAN, covost2
    from s3prl_sb.corpora.toys.making import PHRASES

    for slot in CLAUSE:  # each phrase has its translation
        phrases = (GERMAN[slot].split("|"), PHRASES[slot].split("|"))
        assert len(phrases[0]) == len(phrases[1]) == len(set(phrases[0]))
    folder = covost2(tmp_path / "toy", clips=16, speakers=4)
    splits = prepared(folder, tmp_path / "save")
    # One pair is no translation
    assert {n: len(r) for n, r in splits.items()} == {
        "train": 11,
        "valid": 2,
        "test": 2,
    }
    people = [{r["speaker"] for r in records.values()} for records in splits.values()]
    assert not people[0] & people[1] and not people[0] & people[2]
