"""QUESST 2014 and tables of queries: truth, languages, errors with their lines."""

import json
import logging

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.quesst14 import (
    prepare_query_tables,
    prepare_quesst14,
    read_trials,
)
from s3prl_sb.dataio import manifest

HOMES = {"utterances": "Audio", "dev": "dev_queries", "eval": "eval_queries"}


def tone(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(800, 0.1), 16000)


@pytest.fixture
def corpus(tmp_path):
    """Four documents, and three queries of dev and eval; the last is in Czech."""
    root = tmp_path / "quesst14Database"
    for key, home in HOMES.items():
        count, stem = (4, "doc") if key == "utterances" else (3, key)
        lines = []
        for number in range(count):
            name = f"{home}/{stem}{number}.wav"
            tone(root / name)
            language = "czech" if number == count - 1 else "nnenglish"
            lines.append(f"quesst14Database/{name} {language}")
        path = root / f"scoring/language_key_{key}.lst"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n\n")
    for key in ("dev", "eval"):
        truth(root, key).parent.mkdir()
        truth(root, key).write_text(
            ";; a comment\n"
            "SPKR-INFO doc0 1 <NA> <NA> <NA> unknown x <NA>\n"
            f"LEXEME doc1 1 0.00 0.03 {key}0 lex <NA> <NA>\n"
            f"LEXEME doc0 1 0.00 0.03 {key}0 lex <NA> <NA>\n"
            f"LEXEME doc0 1 0.02 0.03 {key}0 lex <NA> <NA>\n"
            f"LEXEME doc2 1 0.00 0.05 NO_KEYWORD lex <NA> <NA>\n"
            f"LEXEME doc3 1 0.00 0.03 {key}2 lex <NA> <NA>\n"
        )
    return root


def truth(root, key):
    return root / f"scoring/groundtruth_quesst14_{key}/quesst14_{key}.rttm"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_one_language_is_searched_and_all_are_counted(corpus, tmp_path):
    paths = prepare_quesst14(corpus, tmp_path / "save")
    assert list(paths) == ["documents", "valid", "test"]
    found = {n: manifest.validate(manifest.read(p), p, ()) for n, p in paths.items()}
    assert sorted(found["documents"]) == ["doc0", "doc1", "doc2"]
    assert sorted(found["test"]) == ["eval0", "eval1"]
    record = found["valid"]["dev0"]
    assert record["wav"] == str(corpus / "dev_queries/dev0.wav")
    assert record["duration"] == 0.05 and record["language"] == "nnenglish"
    trials = read_trials(tmp_path / "save")
    assert trials["documents"] == ["doc0", "doc1", "doc2", "doc3"]
    assert trials["valid"] == {"dev0": ["doc0", "doc1"], "dev1": [], "dev2": ["doc3"]}


def test_another_language_or_all(corpus, tmp_path):
    paths = prepare_quesst14(corpus, tmp_path / "save", language="czech")
    assert list(manifest.read(paths["documents"])) == ["doc3"]
    paths = prepare_quesst14(corpus, tmp_path / "save", language="all")
    assert len(manifest.read(paths["documents"])) == 4
    with fails("language_key_utterances.lst: none in the language 'basque'", "czech, "):
        prepare_quesst14(corpus, tmp_path / "save", language="basque")


def test_trials_in_the_place_of_rttm(corpus, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = truth(corpus, "dev").with_name("trials.tsv")
    truth(corpus, "dev").unlink()
    path.write_text("query\tdoc\tmatch\ndev0\tdoc2\t1\ndev0\tdoc1\t0\n\n")
    prepare_quesst14(corpus, tmp_path / "save")
    assert read_trials(tmp_path / "save")["valid"]["dev0"] == ["doc2"]
    assert f"Truth of the valid set: {path}" in caplog.text
    path.write_text("query\tdoc\tmatch\ndev0\tdoc2\tyes\n")
    with fails(f"{path}:2: malformed line", "match being 0 or 1"):
        prepare_quesst14(corpus, tmp_path / "save")
    path.write_text("query\tdocument\n")
    with fails(f"{path}:1: the columns are query, document"):
        prepare_quesst14(corpus, tmp_path / "save")


def test_finished_is_kept_until_something_changes(corpus, tmp_path):
    save = tmp_path / "save"
    paths = prepare_quesst14(corpus, save)
    (corpus / "Audio/doc0.wav").unlink()  # is not looked at again
    assert prepare_quesst14(corpus, save) == paths
    assert prepare_quesst14(None, save, skip_prep=True) == paths
    (save / "trials.json").unlink()
    with fails(f"{save}/trials.json: absent"):
        prepare_quesst14(None, save, skip_prep=True)
    with fails("language_key_utterances.lst:1:", "doc0.wav: no such audio file"):
        prepare_quesst14(corpus, save)
    tone(corpus / "Audio/doc0.wav")
    change(truth(corpus, "dev"), "doc1 1", "doc2 1")
    prepare_quesst14(corpus, save)
    assert read_trials(save)["valid"]["dev0"] == ["doc0", "doc2"]


def test_errors_say_where_and_what_to_do(corpus, tmp_path):
    save = tmp_path / "save"
    with fails("data_folder is not set", "--documents_csv"):
        prepare_quesst14(None, save)
    with fails("nowhere: no such folder"):
        prepare_quesst14(tmp_path / "nowhere", save)
    with fails("language_key_utterances.lst: the list is missing", "quesst14Database"):
        prepare_quesst14(tmp_path, save)
    listed = corpus / "scoring/language_key_dev.lst"
    before = listed.read_text()
    change(listed, "dev1.wav nnenglish", "dev1.wav")
    with fails(f"{listed}:2: malformed line", "Expected a path and a language"):
        prepare_quesst14(corpus, save)
    listed.write_text(before)
    change(listed, "dev1.wav", "dev0.wav")
    with fails(f"{listed}:2: dev0 again, first {listed}:1"):
        prepare_quesst14(corpus, save)
    listed.write_text(before)
    path = truth(corpus, "eval")
    before = path.read_text()
    change(path, "doc1 1 0.00 0.03 eval0 lex <NA> <NA>", "doc1 1 0.00")
    with fails(f"{path}:3: 4 fields", "Expected LEXEME, document"):
        prepare_quesst14(corpus, save)
    path.write_text("LEXEME doc3 1 0 1 eval2 lex <NA> <NA>\n")
    with fails(
        f"{path}: none of the 2 queries of the test set is said in any of the 3"
    ):
        prepare_quesst14(corpus, save)
    path.unlink()
    with fails(f"{path}: the truth is missing, and so is trials.tsv", "unpack http"):
        prepare_quesst14(corpus, save)


def test_files_of_a_mac_are_no_truth(corpus, tmp_path):
    path = truth(corpus, "dev")
    path.rename(path.with_name("mine.rttm"))
    path.with_name("._mine.rttm").write_bytes(b"\x00\xff")
    prepare_quesst14(corpus, tmp_path / "save")


def test_unknown_names_in_the_truth_are_reported(corpus, tmp_path, caplog):
    path = truth(corpus, "dev")
    change(path, "doc1 1 0.00 0.03 dev0", "doc9 1 0.00 0.03 dev0")
    prepare_quesst14(corpus, tmp_path / "save")
    assert "1 lines are about queries" in caplog.text
    assert f"{path}:3: dev0 in doc9" in caplog.text


@pytest.fixture
def mine(tmp_path):
    """Custom tables."""
    for name in ("a", "b", "q", "r"):
        tone(tmp_path / f"{name}.wav")
    (tmp_path / "documents.csv").write_text("id,wav\na,a.wav\nb 2,b.wav\n")
    (tmp_path / "valid.csv").write_text("id,wav,documents\nq,q.wav,a ;b 2\nr,r.wav,\n")
    (tmp_path / "test.csv").write_text("id,wav,documents\nr,r.wav,b 2\n")
    names = ("documents", "valid", "test")
    return [str(tmp_path / f"{name}.csv") for name in names]


def test_tables(mine, tmp_path):
    paths = prepare_query_tables(*mine, tmp_path / "save")
    assert sorted(manifest.read(paths["documents"])) == ["a", "b 2"]
    assert "documents" not in manifest.read(paths["valid"])["q"]
    assert read_trials(tmp_path / "save") == {
        "documents": ["a", "b 2"],
        "valid": {"q": ["a", "b 2"], "r": []},
        "test": {"r": ["b 2"]},
    }
    assert prepare_query_tables(*mine, tmp_path / "save") == paths
    assert prepare_query_tables(*[None] * 3, tmp_path / "save", skip_prep=True) == paths


def test_tables_in_json(mine, tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"r": {"wav": "r.wav", "documents": ["b 2", "a"]}}))
    prepare_query_tables(*mine[:2], str(path), tmp_path / "save")
    assert read_trials(tmp_path / "save")["test"] == {"r": ["a", "b 2"]}


@pytest.mark.parametrize("documents", [5, False, ["a", 1], [["a"]], {"a": 1}])
def test_documents_that_are_no_ids(mine, tmp_path, documents):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"r": {"wav": "r.wav", "documents": documents}}))
    with fails(f"{path}:1: 'r': documents {documents!r} are no ids"):
        prepare_query_tables(*mine[:2], str(path), tmp_path / "save")


def test_changed_audio_is_prepared_again(mine, tmp_path):
    prepare_query_tables(*mine, tmp_path / "save")
    (tmp_path / "a.wav").unlink()
    with fails("documents.csv:2", "a.wav: no such audio file"):
        prepare_query_tables(*mine, tmp_path / "save")


def test_errors_of_tables(mine, tmp_path):
    save, (documents, valid, test) = tmp_path / "save", mine
    with fails("test_csv is not set"):
        prepare_query_tables(documents, valid, None, save)
    with open(test, "a") as file:
        file.write("q,q.wav,b2\n")
    with fails(f"{test}:3: 'q': there is no document 'b2'", "Did you mean b 2?"):
        prepare_query_tables(*mine, save)
    with open(test, "w") as file:
        file.write("id,wav\nr,r.wav\n")
    with fails(f"{test}:2: 'r': no column documents", "joined by ' ; '"):
        prepare_query_tables(*mine, save)
    with open(test, "w") as file:
        file.write("id,wav,documents\nr,r.wav,\n")
    with fails(f"{test}: none of the 1 queries of the test set"):
        prepare_query_tables(*mine, save)
    with open(test, "w") as file:
        file.write("id,wav,documents\nr,none.wav,a\n")
    with fails(f"{test}:2", "none.wav"):
        prepare_query_tables(*mine, save)
    (save / "test.csv").parent.mkdir(exist_ok=True)
    (save / "test.json").write_text('{"r": {"wav": "../r.wav", "documents": "a"}}')
    with fails("test.json: would be overwritten"):
        prepare_query_tables(documents, valid, str(save / "test.json"), save)


def test_toy_is_read_by_the_recipe(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys import make

    toy = make("quesst14", tmp_path / "toy", documents=12, queries=2, others=2)
    paths = prepare_quesst14(toy / "quesst14Database", tmp_path / "save")
    counts = {name: len(manifest.read(path)) for name, path in paths.items()}
    assert counts == {"documents": 12, "valid": 2, "test": 2}
    trials = read_trials(tmp_path / "save")
    assert len(trials["documents"]) == 14 and len(trials["test"]) == 3
    assert all(0 < len(held) < 12 for held in trials["valid"].values())
    records = manifest.read(paths["documents"])
    path = next((toy / "quesst14Database/scoring").rglob("quesst14_dev.rttm"))
    for line in path.read_text().splitlines():
        cells = line.split()
        if cells[1] not in records:  # in Czech
            continue
        stop = float(cells[3]) + float(cells[4])
        assert 0 < float(cells[4]) and stop <= records[cells[1]]["duration"] + 0.01
    with pytest.raises(ValueError, match="4 documents hold .* make more documents"):
        make("quesst14", tmp_path / "other", documents=4, queries=16)


def test_a_part_of_the_truth_is_not_the_truth(corpus, tmp_path):
    path = truth(corpus, "dev")
    part = path.rename(path.with_name("quesst14_dev_T1.rttm"))
    with fails("the truth is missing", "quesst14_dev_T1.rttm is not all of it"):
        prepare_quesst14(corpus, tmp_path / "save")
    path.with_name("mine.rttm").write_bytes(part.read_bytes())
    assert prepare_quesst14(corpus, tmp_path / "save")
    path.with_name("theirs.rttm").write_bytes(part.read_bytes())
    with fails("the truth is missing", "mine.rttm"):
        prepare_quesst14(corpus, tmp_path / "save")


def test_a_query_of_both_sets_is_a_leak(mine, tmp_path, caplog):
    prepare_query_tables(mine[0], mine[1], mine[1], tmp_path / "save")
    assert "recordings, such as" in caplog.text and "a leak?" in caplog.text
