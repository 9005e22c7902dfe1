"""Submissions to SUPERB's leaderboard: read as its scorers do, measured independently.

The readers and the measures here are written after S3PRL's ``submit/submit.py`` and the
experts of its tasks, and share nothing with the package.
"""

import csv
import json
import math
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from jiwer import wer as words_wrong
from scipy.signal import medfilt

from s3prl_sb import cli, resources
from s3prl_sb.dataio.speaker_activity import PROBABILITIES, decide, segments
from s3prl_sb.metrics.query_trials import standardize, stdlist
from s3prl_sb.schema.keys import Schema
from s3prl_sb.storage.tensor_files import write_safetensors
from s3prl_sb.submission.choosing import SubmissionError
from s3prl_sb.submission.entries import ENTRIES
from s3prl_sb.submission.writing import submit

h5py = pytest.importorskip("h5py")
#: Files of S3PRL's submit.py below predict/, of the tasks with one file.
FILES = {
    "pr_public": "predict.ark",
    "sid_public": "predict.txt",
    "ks_public": "predict.txt",
    "ic_public": "predict.csv",
    **{f"er_fold{n}_public": "predict.txt" for n in range(1, 6)},
    "asr_public": "predict.ark",
    "asr_lm_public": "predict.ark",
    "qbe_public": "benchmark.stdlist.xml",
    "sf_public": "predict.ark",
    "sv_public": "predict.txt",
    "se_public": "metrics.txt",
    "ss_public": "metrics.txt",
    "st_public": "predict.tsv",
}
SHIFT = 320  # samples
SLOTS = "PLAY B-artist MADONNA E-artist NOW"


def write_table(folder, header, rows):
    with open(folder / "predictions.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def run(folder, task, metrics, valid=0.5, seed=1986, **more):
    """Makes the results of a run, chosen by its first metric."""
    folder.mkdir(parents=True, exist_ok=True)
    name, higher = next(iter(metrics)), more.pop("highest", True)
    results = {
        "version": 2,
        "task": f"SUPERB/{task}",
        "upstream": "mine",
        "chosen_by": {"metric": name, "highest": higher},
        "metrics": metrics,
        "valid": {name: valid},
        "seed": seed,
        "total_steps": 10,
        "best_step": 10,
        "seconds": 1.0,
        "lr": 0.1,
        "settings": {},
        "protocol": {"followed": True, "differs": []},
        "test": {"conditions": None},
        **more,
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def labels(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[*row, "0.9"] for row in rows]
    write_table(folder, ["id", "label", "prediction", "score"], rows)
    return sum(row[1] == row[2] for row in rows) / len(rows)


def texts(folder, rows, *more):
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder, ["id", "reference", "prediction", *more], rows)


def classifiers(bench):
    rows = [["id10003--abcde--fghi--00001", "id10003", "id10004"]]
    rows += [["id10003--abcdefghijk--00002", "id10003", "id10003"]]
    run(bench / "SID", "SID", {"accuracy": labels(bench / "SID", rows)})
    rows = [["test_set--_silence_--a1_nohash_0", "_silence_", "_unknown_"]]
    rows += [["yes--b2_nohash_1", "yes", "yes"], ["no--b2_nohash_1", "no", "no"]]
    run(bench / "KS", "KS", {"accuracy": labels(bench / "KS", rows)})
    folds = []
    for number in range(1, 6):
        folder = bench / f"ER/fold{number}"
        name = f"Ses0{number}F_impro01_F00"
        rows = [[f"{name}{i}", "neu", "neu" if i < number else "ang"] for i in range(6)]
        metrics = {"accuracy": labels(folder, rows)}
        run(folder, "ER", metrics, settings={"fold": number})
        fold = {"fold": number, "folder": folder.name, "valid": {"accuracy": 0.5}}
        folds.append({**fold, "metrics": metrics})
    means = {"accuracy": np.mean([fold["metrics"]["accuracy"] for fold in folds])}
    run(bench / "ER", "ER", means, folds=folds)
    (bench / "IC").mkdir()
    slots = ["action", "object", "location"]
    header = ["id", *(f"{s}_{w}" for s in slots for w in ("label", "prediction"))]
    true = ["change language", "none", "none"]
    pairs = [cell for value in true for cell in (value, value)]
    wrong = [*pairs[:5], "kitchen"]
    rows = [["spk--0a31-44", *pairs, "0.5"], ["spk--0a31-45", *wrong, "0.5"]]
    write_table(bench / "IC", [*header, "score"], rows)
    run(bench / "IC", "IC", {"accuracy": 0.5})


def transcribers(bench):
    rows = [["1-2-0000", "HH AH0 L OW1", "HH AH0 L"], ["1-2-0001", "B", ""]]
    texts(bench / "PR", rows)
    run(bench / "PR", "PR", {"per": 2 / 5}, highest=False)
    rows = [["1-2-0000", "HELLO BIG WORLD", "HELLO WORLD", "HELLO BIG WORD"]]
    texts(bench / "ASR", rows, "prediction_lm")
    metrics = {"wer": 1 / 3, "wer_lm": 1 / 3}
    run(bench / "ASR", "ASR", metrics, highest=False)
    rows = [["Brian-snips-test-7", SLOTS, SLOTS.replace("MADONNA", "MADONA")]]
    rows += [["Emma-snips-test-8", SLOTS, "PLAY NOW"]]
    texts(bench / "SF", rows)
    metrics = {"slot_type_f1": 0.5, "slot_value_cer": 8 / 14}
    run(bench / "SF", "SF", metrics)
    rows = [["common_voice_en_1", 'Er sagte: "Ja, gern."', 'Er sagte: "Ja."']]
    rows += [["common_voice_en_2", "Der Hund bellt laut.", "Der Hund bellt laut."]]
    texts(bench / "ST", rows)
    sacrebleu = pytest.importorskip("sacrebleu")
    score = sacrebleu.corpus_bleu([r[2] for r in rows], [[r[1] for r in rows]]).score
    run(bench / "ST", "ST", {"bleu": score})


def scorers(bench):
    (bench / "ASV").mkdir()
    header = ["id1", "id2", "label", "prediction", "score"]
    speech = [f"id10270--x6uYqmx31kE--0000{n}" for n in range(4)]
    trials = [(0, 1, 1, 0.9), (0, 2, 0, 0.4), (1, 2, 1, 0.3), (0, 3, 0, 0.1)]
    rows = [[speech[a], speech[b], label, 0, score] for a, b, label, score in trials]
    write_table(bench / "ASV", header, rows)
    run(bench / "ASV", "ASV", {"eer": 0.5}, highest=False)
    folder = bench / "QbE"
    queries = [f"quesst14_eval_000{n}" for n in (1, 2)]
    documents = [f"quesst14_0000{n}" for n in (1, 2, 3)]
    costs = torch.tensor([[-1.0, -2.0, -4.0], [-2.0, -2.5, -1.0]])
    scores, true = standardize(costs), [[1, 0, 0], [0, 0, 1]]
    (folder / "stdlist/test").mkdir(parents=True)
    path = folder / "stdlist/test/benchmark.stdlist.xml"
    path.write_text(stdlist(queries, documents, scores))
    header = ["query", "document", "cost", "score", "detected", "true"]
    write_table(
        folder,
        header,
        [
            [q, d, 1, f"{scores[i, j]:.6f}", 0, true[i][j]]
            for i, q in enumerate(queries)
            for j, d in enumerate(documents)
        ],
    )
    run(folder, "QbE", {"mtwv": 0.5, "mtwv_searched": 1.0})


def speakers(bench):
    """SD: two recordings, one longer than a chunk of S3PRL."""
    folder, rng = bench / "SD", np.random.default_rng(0)
    folder.mkdir()
    names = {"1-2-0000_3-4-0000": 60, "1-2-0001_3-4-0001": 2100}
    smooth = {n: np.cumsum(rng.normal(size=(f, 2)), 0) for n, f in names.items()}
    tensors = {
        name: torch.sigmoid(torch.tensor(values, dtype=torch.float32))
        for name, values in smooth.items()
    }
    metadata = {"frame_shift": SHIFT / 16000}
    write_safetensors(folder / PROBABILITIES, tensors, metadata)
    rttm, uem, rows, wrong, speech = [], [], [], 0.0, 0.0
    for name, values in tensors.items():
        duration = len(values) * SHIFT / 16000
        rows.append([name, f"{duration:.3f}", 2, 0.1, 0, 0, 0, 0])
        uem.append(f"{name} 1 0.000 {duration:.3f}\n")
        # One speaker alone in the reference, the first frames
        rttm.append(f"SPEAKER {name} 1 0.000 0.400 <NA> <NA> a <NA> <NA>\n")
        active = decide(values, 0.4, 3)
        truth = np.zeros(len(active), bool)
        truth[:20] = True
        # The better pairing of the one true speaker
        best = min(
            np.maximum(0, active.sum(1) - truth).sum()
            + np.maximum(0, truth - active.sum(1)).sum()
            + (np.minimum(active.sum(1), truth) - (active[:, k] & truth)).sum()
            for k in range(2)
        )
        wrong, speech = wrong + best, speech + 20
    header = "id duration speakers der missed false_alarm confusion speech".split()
    write_table(folder, header, rows)
    (folder / "ref.rttm").write_text("".join(rttm))
    (folder / "ref.uem").write_text("".join(uem))
    metrics = {"der": float(wrong / speech), "threshold": 0.4, "median": 3.0}
    run(folder, "SD", metrics, highest=False)


def masks(bench):
    for task, name in (("SE", "p232_00{}"), ("SS", "1-2-000{}_3-4-0000")):
        (bench / task).mkdir()
        header = ["id", "seconds", "si_sdr", "stoi", "pesq", "si_sdr_improvement"]
        rows = [[name.format(n), 2, 1, 0.9, 2.5 + n, 8 + n] for n in (1, 2)]
        rows[0][4] = "nan"  # undefined, and left out
        write_table(bench / task, header, rows)
        metrics = {"pesq": 4.5, "stoi": 0.9, "si_sdr_improvement": 9.5}
        run(bench / task, task, metrics)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = tmp_path_factory.mktemp("bench")
    for make in (classifiers, transcribers, scorers, speakers, masks):
        make(bench)
    return bench


@pytest.fixture(scope="module")
def made(bench, tmp_path_factory):
    destination = tmp_path_factory.mktemp("made") / "submission"
    return submit([str(bench)], destination), destination


def lines(made, name):
    text = (made[1] / "predict" / name / FILES[name]).read_text()
    assert text.endswith("\n") and "\r" not in text
    return text.removesuffix("\n").split("\n")


def test_the_layout_is_that_of_the_tool(made):
    place = made[1] / "predict"
    files = {path.relative_to(place).as_posix() for path in place.rglob("*.*")}
    expected = {f"{name}/{file}" for name, file in FILES.items()}
    recordings = ("1-2-0000_3-4-0000", "1-2-0001_3-4-0001")
    expected |= {f"sd_public/scoring/predictions/{r}.h5" for r in recordings}
    assert files == expected
    assert (place / "sd_public/frame_shift").read_text() == "320\n"
    assert not made[0].missing
    with zipfile.ZipFile(made[1] / "predict.zip") as packed:
        names = set(packed.namelist())
        assert names == {f"predict/{f}" for f in expected | {"sd_public/frame_shift"}}
        for name in names:
            assert packed.read(name) == (made[1] / name).read_bytes()


def test_every_measure_is_that_of_the_run(made):
    """The package reads its own files again, with the truth of the runs."""
    for each in made[0].written:
        assert each.metrics, each.entry.name
        faults = [fault for fault in each.faults if "will refuse" not in fault]
        assert not faults, each.entry.name


def test_labels_by_the_names_of_the_tool(made):
    assert lines(made, "sid_public") == [
        "id10003-abcde--fghi-00001 id10004",
        "id10003-abcdefghijk-00002 id10003",
    ]
    assert lines(made, "ks_public") == [
        "_silence_-a1_nohash_0.wav _unknown_",
        "yes-b2_nohash_1.wav yes",
        "no-b2_nohash_1.wav no",
    ]
    assert lines(made, "ic_public") == [
        "0a31-44,change language,none,none",
        "0a31-45,change language,none,kitchen",
    ]
    for number in range(1, 6):
        found = [line.split(" ") for line in lines(made, f"er_fold{number}_public")]
        right = [label == "neu" for _, label in found]
        assert np.mean(right) == number / 6
        assert found[0][0] == f"Ses0{number}F_impro01_F000"


def test_texts(made):
    """Rates as S3PRL computes them, whose experts split at single spaces."""
    found = dict(line.split(" ", 1) for line in lines(made, "pr_public"))
    assert found == {"1-2-0000": "HH AH0 L", "1-2-0001": ""}
    for name, wrong in (("asr_public", "HELLO WORLD"), ("asr_lm_public", None)):
        ((_, text),) = [line.split(" ", 1) for line in lines(made, name)]
        assert words_wrong("HELLO BIG WORLD", text) == pytest.approx(1 / 3)
        assert wrong is None or text == wrong
    found = dict(line.split(" ", 1) for line in lines(made, "sf_public"))
    assert found["Brian-snips-test-7"] == "PLAY B-artist MADONA E-artist NOW"


def test_translations_as_the_scorer_reads_them(made):
    """S3PRL's count_sacreBLEU.py: a table with tabs, without quotes."""
    import sacrebleu

    path = made[1] / "predict/st_public/predict.tsv"
    with open(path, newline="") as file:
        options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
        rows = list(csv.DictReader(file, **options, lineterminator="\n"))
    assert [row["utt_id"] for row in rows] == ["common_voice_en_1", "common_voice_en_2"]
    found = sacrebleu.corpus_bleu([r["hyp"] for r in rows], [[r["ref"] for r in rows]])
    (told,) = [e.metrics for e in made[0].written if e.entry.name == "st_public"]
    assert found.score == pytest.approx(told["bleu"])
    assert '"Ja, gern."' in rows[0]["ref"]


def test_trials(made):
    """The pair of names that S3PRL's expert of ASV writes, and its cosine."""
    found = [line.split(" ") for line in lines(made, "sv_public")]
    first = "id10270-x6uYqmx31kE-00000_id10270-x6uYqmx31kE-00001"
    assert found[0] == [first, "0.9"]
    assert [float(score) for _, score in found] == [0.9, 0.4, 0.3, 0.1]


def test_queries(made):
    tree = ElementTree.parse(made[1] / "predict/qbe_public/benchmark.stdlist.xml")
    assert tree.getroot().attrib["termlist_filename"] == "benchmark.stdlist.xml"
    terms = list(tree.iter("detected_termlist"))
    assert [t.attrib["termid"] for t in terms] == [
        "quesst14_eval_0001",
        "quesst14_eval_0002",
    ]
    assert [len(t) for t in terms] == [3, 3]
    for term in tree.iter("term"):
        score = float(term.attrib["score"])
        assert term.attrib["decision"] == ("YES" if score > 2 else "NO")


def test_diarization_as_the_tool_turns_it_into_segments(made, bench):
    """make_rttm.py: threshold, SciPy's median filter, edges of frames."""
    place = made[1] / "predict/sd_public"
    shift = int((place / "frame_shift").read_text())
    for path in (place / "scoring/predictions").glob("*.h5"):
        with h5py.File(path) as file:
            values = file["T_hat"][:]
        assert values.dtype == np.float32 and values.shape[1] == 2
        active = np.where(values > 0.4, 1, 0)
        active = medfilt(active.astype(float), (3, 1))
        found = []
        for speaker, frames in enumerate(active.T, 1):
            (changes,) = np.where(np.diff(np.pad(frames, (1, 1)), axis=0) != 0)
            for start, stop in zip(changes[::2], changes[1::2]):
                seconds = start * shift / 16000, stop * shift / 16000
                found.append((f"speaker{speaker}", *(round(s, 6) for s in seconds)))
        duration = len(values) * shift / 16000
        ours = segments(decide(values, 0.4, 3), shift / 16000, duration)
        assert sorted(found) == sorted(ours)


def test_masks_submit_means(made):
    for name in ("se_public", "ss_public"):
        found = dict(line.split(" ") for line in lines(made, name))
        assert list(found) == ["si_sdr", "stoi", "pesq"]
        assert {key: float(value) for key, value in found.items()} == {
            "si_sdr": 9.5,
            "stoi": 0.9,
            "pesq": 4.5,
        }


def test_sizes_are_those_of_the_protocol():
    """The two places that know them: the recipes, and the table of a submission."""
    other = {"SUPERB/ASV", "SUPERB/ER"}  # trials of utterances, one fold
    files = resources.recipe_files()
    for entry in ENTRIES:
        counts = Schema.of(files[entry.recipe]).tree["__protocol"]["utterances"]
        if entry.recipe not in other:
            assert counts["test"] == entry.size, entry.name
    folds = [entry.size for entry in ENTRIES if entry.recipe == "SUPERB/ER"]
    protocol = Schema.of(files["SUPERB/ER"]).tree["__protocol"]
    assert sum(folds) == protocol["utterances"]["test"]


def test_what_the_leaderboard_refuses_is_said(made, bench, tmp_path, capsys):
    faults = {each.entry.name: each.faults for each in made[0].written}
    assert faults["pr_public"] == [
        "2 of 2,620 utterances; the leaderboard will refuse it"
    ]
    assert faults["sv_public"] == ["4 of 37,720 trials; the leaderboard will refuse it"]
    assert cli.main(["submit", str(bench), str(tmp_path / "a")]) == 1
    out, err = capsys.readouterr()
    assert "st_public: 2 of 15,531 utterances; the leaderboard will refuse it" in err
    assert str(tmp_path / "a/predict.zip") in out and "accuracy 66.67 %" in out
    record = json.loads((tmp_path / "a/submission.json").read_text())
    assert record["tasks"]["ks_public"]["run"] == str(bench / "KS")


def few(tmp_path, rows, **more):
    accuracy = labels(tmp_path / "bench/KS", rows)
    metrics = more.pop("metrics", {"accuracy": accuracy})
    run(tmp_path / "bench/KS", "KS", metrics, **more)
    (each,) = submit([str(tmp_path / "bench")], tmp_path / "made").written
    return each.faults


def test_other_ids_and_measures_are_faults(tmp_path):
    rows = [["mine--1", "yes", "yes"], ["no--a", "no", "yes"]]
    assert "an id not of the test set, such as 'mine--1'" in few(tmp_path, rows)
    rows = [["yes--a", "yes", "yes"], ["test_set--yes--a", "yes", "yes"]]
    faults = few(tmp_path, rows)
    assert "1 names for several ids, such as 'yes-a.wav'" in faults
    rows = [["yes--a", "yes", "yes"], ["no--a", "no", "yes"]]
    faults = few(tmp_path, rows, metrics={"accuracy": 0.75})
    assert "accuracy is 0.500000, in results.json 0.750000" in faults
    assert any("nan" in f for f in few(tmp_path, rows, metrics={"accuracy": math.nan}))


@pytest.mark.parametrize("label", ["two\nlines", "two\rlines"])
def test_a_value_that_the_format_cannot_hold(label, tmp_path):
    with pytest.raises(SubmissionError, match=r"ks_public: .* has several lines"):
        few(tmp_path, [["yes--a", "yes", label]])
    assert not (tmp_path / "made").exists()


def test_the_best_in_validation_or_a_seed(tmp_path):
    rows = [["yes--a", "yes", "yes"]]
    for seed, valid in ((1, 0.5), (2, 0.75), (3, 0.625)):
        folder = tmp_path / f"bench/KS/{seed}"
        run(folder, "KS", {"accuracy": labels(folder, rows)}, valid, seed)
    noisy = tmp_path / "bench/KS/noisy"
    metrics = {"accuracy": labels(noisy, rows)}
    run(noisy, "KS", metrics, 0.99, 4, test={"conditions": {"test_noise": 1}})
    bench = [str(tmp_path / "bench")]
    (each,) = submit(bench, tmp_path / "a").written
    assert each.choice.folder.name == "2"
    assert each.notes == ["seed 2, the best accuracy in validation (0.7500) of 3 runs"]
    (each,) = submit(bench, tmp_path / "a", seed=3).written
    assert each.choice.folder.name == "3" and not each.notes
    with pytest.raises(SubmissionError, match="no run of seed 9, but of 1, 2, 3"):
        submit(bench, tmp_path / "a", seed=9)
    lower = tmp_path / "PR"
    for seed, valid in ((1, 0.5), (2, 0.75)):
        texts(lower / str(seed), [["1-2-0000", "A", "A"]])
        run(lower / str(seed), "PR", {"per": 0.0}, valid, seed, highest=False)
    (each,) = submit([str(lower)], tmp_path / "b").written
    assert each.choice.folder.name == "1"


def test_one_upstream(tmp_path, bench):
    rows = [["yes--a", "yes", "yes"]]
    metrics = {"accuracy": labels(tmp_path / "KS", rows)}
    run(tmp_path / "KS", "KS", metrics, upstream="other")
    both = [str(tmp_path), str(bench)]
    with pytest.raises(SubmissionError, match="2 upstreams.* mine, other"):
        submit(both, tmp_path / "a")
    with pytest.raises(SubmissionError, match="no finished run of third"):
        submit(both, tmp_path / "a", upstream="third")
    (each,) = submit(both, tmp_path / "a", upstream="other").written
    assert each.choice.folder == tmp_path / "KS"


def test_a_fold_alone(tmp_path, bench):
    """A run of one fold is submitted for that fold, and no other."""
    made = submit([str(bench / "ER/fold3")], tmp_path / "a")
    assert [each.entry.name for each in made.written] == ["er_fold3_public"]
    assert made.missing["er_fold1_public"] == "no finished run"


def test_the_destination_stays_what_it_is(tmp_path, bench):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(SubmissionError, match="holds something else"):
        submit([str(bench)], other)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]
    with pytest.raises(SubmissionError, match="is a file"):
        submit([str(bench)], other / "mine.txt")


def test_a_submission_is_replaced_as_a_whole(tmp_path, bench):
    destination = tmp_path / "a"
    submit([str(bench)], destination)
    (destination / "notes.txt").write_text("sent on Monday")
    first = (destination / "predict.zip").read_bytes()
    submit([str(bench)], destination)
    assert (destination / "predict.zip").read_bytes() == first
    submit([str(bench / "KS")], destination)
    names = {path.name for path in (destination / "predict").iterdir()}
    assert names == {"ks_public"}
    assert (destination / "notes.txt").read_text() == "sent on Monday"


def test_what_a_run_lacks(tmp_path, bench, monkeypatch):
    import shutil

    copied = tmp_path / "bench"
    for name in ("SD", "SE", "KS"):
        shutil.copytree(bench / name, copied / name)
    (copied / "SD" / PROBABILITIES).unlink()
    run(copied / "SE", "SE", {"si_sdr_improvement": 9.5})
    made = submit([str(copied)], tmp_path / "a")
    assert [each.entry.name for each in made.written] == ["ks_public"]
    assert "Run its recipe again" in made.failed["sd_public"]
    assert "has no stoi, pesq: pip install" in made.failed["se_public"]
    assert not (tmp_path / "a/predict/sd_public").exists()
    run(copied / "SE", "SE", {"pesq": 4.5, "stoi": 0.9, "si_sdr_improvement": 9})
    made = submit([str(copied)], tmp_path / "a")
    assert "si_sdr_improvement of predictions.csv is 9.5000" in made.failed["se_public"]
    monkeypatch.setitem(sys.modules, "h5py", None)
    made = submit([str(bench)], tmp_path / "a")
    assert "pip install 's3prl_sb[hdf5]'" in made.failed["sd_public"]
    (copied / "KS/predictions.csv").unlink()
    with pytest.raises(SubmissionError, match=r"ks_public: .*predictions.csv"):
        submit([str(copied / "KS")], tmp_path / "b")


def test_no_run(tmp_path):
    with pytest.raises(SubmissionError, match="no finished run of a task"):
        submit([str(tmp_path)], tmp_path / "a")
    Path(tmp_path / "empty").mkdir()
    run(tmp_path / "x", "VC", {"mcd": 7.0})
    with pytest.raises(SubmissionError, match="No run of a task of the leaderboard"):
        submit([str(tmp_path)], tmp_path / "a")


def copied(bench, tmp_path, *tasks):
    import shutil

    for task in tasks:
        shutil.copytree(bench / task, tmp_path / "bench" / task)
    return tmp_path / "bench"


DAMAGES = {
    "a row that is cut": lambda text: text + b"short\n",
    "words for numbers": lambda text: text + b"a,b,c,d,e,f,g,h,i,j\n",
    "columns without names": lambda text: b"x" + text.replace(b",", b",x"),
    "no quotes at the end": lambda text: text + b'"' + b"x" * 200_000,
    "other ids": lambda text: text.replace(b"-0", b"x0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_costs_its_task_only(damage, tmp_path, bench):
    """Whatever a table has: an error names it, or the file is what was measured."""
    whole = copied(bench, tmp_path, "KS", "SID", "IC", "PR", "ASV", "QbE", "SD", "SE")
    for path in [*whole.glob("*/predictions.csv")]:
        if path.parent.name != "KS":
            path.write_bytes(DAMAGES[damage](path.read_bytes()))
    made = submit([str(whole)], tmp_path / "a")
    assert "ks_public" in {each.entry.name for each in made.written}
    assert set(made.missing.values()) == {"no finished run"}
    assert all("bench" in text for text in made.failed.values())
    for each in made.written:
        assert each.faults, each.entry.name


DAMAGED_RESULTS = [
    {"seed": []},
    {"valid": "x"},
    {"valid": None},
    {"test": 5},
    {"folds": [{"fold": 1, "folder": "fold1", "accuracy": 0.5}]},
    {"folds": [{"fold": 1, "folder": 5, "metrics": {}}]},
]


@pytest.mark.parametrize("more", DAMAGED_RESULTS, ids=str)
def test_damaged_results_cost_their_task_only(more, tmp_path, bench):
    whole = copied(bench, tmp_path, "ER", "KS", "PR")
    for task in ("ER", "KS"):
        path = whole / task / "results.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    run(whole / "KS/other", "KS", {"accuracy": 0.5})
    made = submit([str(whole)], tmp_path / "a")
    names = {each.entry.name for each in made.written}
    assert "pr_public" in names
    assert "ks_public" in names or "bench/KS" in made.failed["ks_public"]
    assert "er_fold1_public" in names or "bench/ER" in made.failed["er_fold1_public"]


def test_probabilities_of_a_run_whose_results_lack_the_threshold(tmp_path, bench):
    whole = copied(bench, tmp_path, "SD", "KS")
    run(whole / "SD", "SD", {"der": 0.5}, highest=False)
    made = submit([str(whole)], tmp_path / "a")
    assert "it has no 'threshold'" in made.failed["sd_public"]


def test_the_exit_status(tmp_path, bench, monkeypatch, capsys):
    """0 only if each task with a run can be submitted; every problem is named."""
    from s3prl_sb.submission import writing

    monkeypatch.setattr(writing, "_faults_of_ids", lambda entry, ids: [])  # of toys
    whole = copied(bench, tmp_path, "KS", "PR", "ASR")
    destination = str(tmp_path / "a")

    def status():
        code = cli.main(["submit", str(whole), destination])
        return code, capsys.readouterr()

    code, (out, err) = status()
    assert code == 0 and not err
    assert "sid_public" in out and "no finished run" in out
    (whole / "PR/predictions.csv").unlink()
    code, (out, err) = status()
    assert code == 1 and "pr_public: not in it: '" in err and "ks_public" in out
    record = json.loads((tmp_path / "a/submission.json").read_text())
    assert list(record["failed"]) == ["pr_public"] and "ks_public" in record["tasks"]
    table = (bench / "PR/predictions.csv").read_bytes()
    (whole / "PR/predictions.csv").write_bytes(table)
    assert status()[0] == 0
    (whole / "KS/other").mkdir()
    (whole / "KS/other/results.json").write_text("{")
    code, (out, err) = status()
    assert code == 1 and "KS/other/results.json" in err


def test_a_run_that_follows_the_protocol_comes_first(tmp_path):
    rows = [["yes--a", "yes", "yes"]]
    departs = {"followed": False, "differs": ["freeze false"]}
    kinds = ((0.6, {}), (0.7, {"protocol": departs}), (0.5, {}))
    for seed, (valid, more) in enumerate(kinds, 1):
        folder = tmp_path / f"bench/KS/{seed}"
        run(folder, "KS", {"accuracy": labels(folder, rows)}, valid, seed, **more)
    (each,) = submit([str(tmp_path / "bench")], tmp_path / "a").written
    assert each.notes == [
        "seed 1, the best accuracy in validation (0.6000) of 2 runs, without 1 that "
        "depart from the protocol"
    ]
    (each,) = submit([str(tmp_path / "bench/KS/2")], tmp_path / "a").written
    assert each.notes == ["departs from the protocol: freeze false"]


def test_runs_that_different_metrics_chose_do_not_compare(tmp_path, bench):
    whole = copied(bench, tmp_path, "ASV", "PR")
    run(whole / "ASV/2", "ASV", {"min_dcf": 0.5, "eer": 0.5}, highest=False)
    made = submit([str(whole)], tmp_path / "a")
    assert "chosen by eer, min_dcf, which do not compare" in made.failed["sv_public"]
    assert [each.entry.name for each in made.written] == ["pr_public"]


def test_a_fold_of_another_session_is_a_fault(tmp_path, bench):
    folder = copied(bench, tmp_path, "ER") / "ER/fold3"
    path = folder / "predictions.csv"
    path.write_text(path.read_text().replace("Ses03", "Ses04"))
    (each,) = submit([str(folder)], tmp_path / "a").written
    assert "6 ids not of the test set, such as 'Ses04F_impro01_F000'" in each.faults


def test_a_run_without_a_language_model(tmp_path):
    texts(tmp_path / "ASR", [["1-2-0000", "A", "A"]])
    run(tmp_path / "ASR", "ASR", {"wer": 0.0}, highest=False)
    made = submit([str(tmp_path)], tmp_path / "a")
    assert made.missing["asr_lm_public"].endswith("without a language model, see --lm.")
