"""Options that one recipe has, or that one recipe shows for all."""

import json
import shutil

import pytest
from outcomes import assert_same_outcome, results
from recipe_runs import arguments, on_test
from tasks import small

from s3prl_sb.cli import main
from s3prl_sb.inference import export


def test_score_of_normalized_scores(on_tables, launcher, tmp_path, capsys):
    """A model has no cohort: it gives cosines, and says so."""
    given = {**on_tables("SUPERB/ASV")[1], "score_normalization": "as_norm"}
    given.update(cohort_size=4, top_n=2)
    run, output = tmp_path / "run", tmp_path / "scored"
    assert launcher.run(arguments("SUPERB/ASV", run, **given)) == 0
    argv = ["score", str(run), "--output", str(output), "--device", "cpu"]
    assert main([*argv, *on_test(given)]) == 0
    assert "plain cosines" in capsys.readouterr().err
    found, expected = results(output), results(run)
    for name in ("eer", "min_dcf"):
        cosines = expected["metrics"][f"cosine_{name}"]
        assert found["metrics"][name] == pytest.approx(cosines, abs=1e-6)
    assert expected["settings"]["score_normalization"] == "as_norm"
    assert "score_normalization" not in found["settings"]
    assert not any("as_norm" in words for words in found["protocol"]["differs"])


ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-1.0\t<unk>\t0
-1.0\t<s>\t0
-1.0\t</s>\t0
-0.5\tSEE\t0
-0.5\tNO\t0

\\2-grams:
-0.3\tSEE NO

\\end\\
"""


def test_score_with_a_language_model(finished, on_tables, tmp_path, capsys):
    """Given later, to a run that was tested without one."""
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "lm.arpa").write_text(ARPA)
    run, given = finished("SUPERB/ASR"), on_tables("SUPERB/ASR")[1]
    argv = ["score", str(run), "--output", str(tmp_path / "out"), "--device", "cpu"]
    argv += ["--test_csv", str(given["test_csv"]), "--lm", str(tmp_path / "lm.arpa")]
    assert main(argv) == 0, capsys.readouterr().err
    found = results(tmp_path / "out")["metrics"]
    assert found["wer"] == results(run)["metrics"]["wer"]
    assert "wer_lm" in found and "wer_lm" in capsys.readouterr().out
    lines = (tmp_path / "out/hyp_lm.txt").read_text().splitlines()
    words = {word for line in lines for word in line.split("\t")[1].split()}
    assert words <= {"SEE", "NO"}


def test_score_of_a_run_with_a_language_model(on_tables, launcher, tmp_path, capsys):
    """Uses one only if it is given; else it says so, and claims none."""
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "lm.arpa").write_text(ARPA)
    given, run = on_tables("SUPERB/ASR")[1], tmp_path / "run"
    lm = tmp_path / "lm.arpa"
    assert launcher.run(arguments("SUPERB/ASR", run, **given, lm=lm)) == 0
    assert "wer_lm" in results(run)["metrics"]
    for model in (run, export(run, tmp_path / "exported")):
        argv = ["score", str(model), "--device", "cpu", "--test_csv"]
        argv += [str(given["test_csv"]), "--output"]
        assert main([*argv, str(tmp_path / "plain")]) == 0
        assert "which it does not keep" in capsys.readouterr().err
        found = json.loads((tmp_path / "plain/results.json").read_text())
        assert found["metrics"]["wer"] == results(run)["metrics"]["wer"]
        assert "wer_lm" not in found["metrics"]
        assert [k for k, v in found.items() if "lm.arpa" in str(v)] == []
        assert not (tmp_path / "plain/hyp_lm.txt").exists()
        assert main([*argv, str(tmp_path / "lm"), "--lm", str(lm)]) == 0
        assert "which it does not keep" not in capsys.readouterr().err
        found = json.loads((tmp_path / "lm/results.json").read_text())
        assert found["metrics"]["wer_lm"] == results(run)["metrics"]["wer_lm"]
        assert found["settings"]["lm"] == str(lm)
        shutil.rmtree(tmp_path / "plain")
        shutil.rmtree(tmp_path / "lm")


def test_batches_by_seconds_are_rehearsed_and_learn(on_tables, launcher, tmp_path):
    given = {**on_tables("SUPERB/SID")[1], "batch_seconds": 1.5}
    assert launcher.run(arguments("SUPERB/SID", tmp_path / "out", **given)) == 0
    assert results(tmp_path / "out")["utterances"] == small("SUPERB/SID").UTTERANCES
    assert "The largest batch fits" in (tmp_path / "out/log.txt").read_text()


def test_two_processes_train_an_upstream_of_which_layers_are_used(
    on_tables, launcher, tmp_path
):
    given = {**on_tables("SUPERB/SID")[1], "freeze": False, "featurizer": "{layers: 1}"}
    argv = arguments("SUPERB/SID", tmp_path / "out", **given)
    assert launcher.run_distributed(argv) == 0
    assert results(tmp_path / "out")["layers"] == [1]


def test_searched_in_noise(finished, on_tables, launcher, tmp_path):
    """Noise of a test is a function of the utterance: twice the same."""
    name = "SUPERB/QbE"
    given = {**on_tables(name)[1], "test_noise": "{snr: 0}"}
    outputs = tmp_path / "a", tmp_path / "b"
    for output in outputs:
        assert launcher.run(arguments(name, output, **given)) == 0
    assert_same_outcome(*outputs)
    noisy, clean = results(outputs[0]), results(finished(name))
    assert noisy["valid"] == clean["valid"] and noisy["layers"] == clean["layers"]
    predictions = [
        (folder / "predictions.csv").read_text()
        for folder in (outputs[0], finished(name))
    ]
    assert predictions[0] != predictions[1]
    assert noisy["test"]["conditions"]["test_noise"] == {"snr": 0}
