"""s3prl-sb results: rows that can be told apart, in every form and order."""

import csv
import io
import json
import os
import shutil
import types

import pytest

from s3prl_sb.brains import plots
from s3prl_sb.cli import main
from s3prl_sb.runs import results as runs
from s3prl_sb.terminal import columns

DEFAULTS = {"total_steps": 200000, "freeze": True, "head.hidden_size": 256}


def result(task="SUPERB/KS", metric="accuracy", value=0.5, trained="frozen", **others):
    settings = others.pop("settings", {})
    found = {
        "version": 2,
        "task": task,
        "upstream": "hubert_base",
        "chosen_by": {"metric": metric, "highest": metric == "accuracy"},
        "metrics": {metric: value},
        "seed": 1,
        "total_steps": settings.get("total_steps", 200000),
        "lr": 1e-4,
        "seconds": 61.4,
        "upstream_model": {"trained": trained, "precision": "fp32"},
        "training": {"precision": "fp32", "processes": 1},
        "settings": settings,
        "defaults": {key: DEFAULTS.get(key) for key in settings},
        "protocol": {
            "followed": not settings,
            "settings": settings,
            "corpus": "/corpus",
            "data": None,
            "differs": [f"{key} {value}" for key, value in settings.items()],
        },
        "identity": {"weights": "ab" * 32, "data": {"train": "0" * 12}},
    }
    return {**found, **others}


@pytest.fixture
def show(tmp_path, capsys):
    """Writes results.json of runs, and gives what the verb prints."""

    def write(runs, *options, status=0):
        for name, run in runs.items():
            folder = tmp_path / name
            folder.mkdir(parents=True, exist_ok=True)
            text = run if isinstance(run, str) else json.dumps(run)
            (folder / "results.json").write_text(text)
        capsys.readouterr()
        assert main(["results", str(tmp_path), *options]) == status
        write.said = capsys.readouterr()
        return write.said.out

    return write


def table(text):
    """A CSV as a list of dicts."""
    return list(csv.DictReader(io.StringIO(text)))


def folders(rows):
    return [row["folder"].rpartition("/")[2] for row in rows]


ADAPTED = {"freeze": False, "upstream_model.adapter.kind": "lora"}
THREE = {
    "a": result(),
    "b": result(trained="fine-tuned", settings={"freeze": False}),
    "c": result(trained="lora", settings=ADAPTED),
}


def test_frozen_fine_tuned_and_adapted_are_three_rows(show):
    lines = show(THREE).splitlines()
    assert "trained" in lines[0].split()
    rows = [line.rpartition("/")[0].strip() for line in lines[1:]]
    assert len(set(rows)) == 3
    for line, word in zip(lines[1:], ("frozen", "fine-tuned", "lora")):
        assert word in line.split()


def test_what_is_the_same_has_no_column(show):
    header = show({"a": result(), "b": result(seed=2)}).splitlines()[0].split()
    assert header == "task upstream seed steps test protocol time folder".split()


@pytest.mark.parametrize(
    "change, column, values",
    [
        ({"lr": 0.01}, "lr", ["0.0001", "0.01"]),
        ({"settings": {"head.hidden_size": 8}}, "head.hidden_size", ["256", "8"]),
        ({"settings": {"upstream_model.precision": "bf16"}}, None, None),
        ({"training": {"precision": "bf16", "processes": 1}}, "precision", None),
        ({"training": {"precision": "fp32", "processes": 4}}, "processes", ["1", "4"]),
        (
            {"identity": {"weights": "cd" * 32}},
            "weights",
            ["abababab", "cdcdcdcd"],
        ),
    ],
)
def test_each_difference_is_a_column(show, change, column, values):
    rows = table(show({"a": result(), "b": result(**change)}, "--format", "csv"))
    plain = [{k: v for k, v in row.items() if k != "folder"} for row in rows]
    assert plain[0] != plain[1]
    if column:
        assert column in rows[0]
    if values:
        assert [row[column] for row in rows] == values


def test_other_tasks_and_upstreams_are_no_difference(show):
    """200,000 steps of one task and 100,000 of another are both their defaults."""
    other = result("SUPERB/PR", "per", 0.05, total_steps=100000, lr=0.01)
    other["identity"]["weights"] = "cd" * 32
    header = show({"a": result(), "b": other}).splitlines()[0].split()
    assert header == "task upstream seed steps test protocol time folder".split()


def test_data_in_other_places(show):
    moved = result()
    moved["protocol"]["corpus"] = "/noisy"
    rows = table(show({"a": result(), "b": moved}, "--format", "csv"))
    assert [row["corpus"] for row in rows] == ["/corpus", "/noisy"]


def test_data_in_the_same_place_that_are_not_the_same(show):
    other = result()
    other["identity"]["data"] = {"train": "1" * 12}
    rows = table(show({"a": result(), "b": other}, "--format", "csv"))
    assert rows[0]["data"] != rows[1]["data"]


def test_units(show):
    runs = {
        "a": result(value=0.98764),
        "b": result("SUPERB/QbE", "mtwv", 0.0736),
        "c": result("digits", "accuracy", 0.87654),  # custom: as its log says
        "e": result("tones", "likeness", 0.98764),
        "d": result("SUPERB/SF", "slot_type_f1", 0.8853),
    }
    runs["d"]["metrics"]["slot_value_cer"] = 0.252
    text = show(runs)
    for part in ("accuracy 98.76 %", "mtwv 0.0736", "accuracy 87.65 %"):
        assert part in text
    assert "slot_type_f1 88.53 %, slot_value_cer 25.20 %" in text
    assert "likeness 0.9876" in text and "likeness 0.9876 %" not in text


def test_protocol(show):
    runs = {
        "a": result(),
        "b": result(settings={"total_steps": 20, "lr": 1, "batch_size": 2}),
    }
    lines = show(runs).splitlines()
    assert "followed" in lines[1] and "total_steps 20, lr 1, 1 more" in lines[2]
    rows = table(show(runs, "--format", "csv"))
    assert rows[1]["protocol"] == "total_steps 20, lr 1, batch_size 2"


def test_older_results_are_listed(show):
    old = result()
    for key in ("version", "upstream_model", "training", "settings", "defaults"):
        del old[key]
    del old["protocol"], old["identity"]
    rows = table(show({"a": old, **{k: THREE[k] for k in "bc"}}, "--format", "csv"))
    assert rows[0]["trained"] == rows[0]["protocol"] == ""
    assert rows[1]["trained"] == "fine-tuned" and rows[0]["accuracy [%]"] == "50.0"


# ----------------------------------------------------------------- files at fault
@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "Expecting value"),
        ('{"task": "SUPERB', "Unterminated string"),
        ("[1]", "a list, not a dict"),
        ('{"accuracy": 1}', "not of a recipe"),
        (json.dumps({**result(), "metrics": {}}), "it has no 'accuracy'"),
        (json.dumps({**result(), "metrics": {"accuracy": "x"}}), "results of a run"),
        (json.dumps({**result(), "seconds": None}), "results of a run"),
        (json.dumps({**result(), "folds": [1]}), "results of a run"),
        (json.dumps({**result(), "settings": [1]}), "results of a run"),
        (json.dumps({**result(), "protocol": {"followed": False}}), "results of a run"),
    ],
)
def test_one_broken_file_hides_no_other(show, text, problem):
    printed = show({"a": result(), "broken": text, "c": result()})
    assert len(printed.splitlines()) == 3 and "/broken" not in printed
    [said] = show.said.err.splitlines()
    assert "broken/results.json' is not the results of a run" in said
    assert problem in said


def test_bytes_that_are_no_text(show, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/results.json").write_bytes(b"\xff\xfe\x00{")
    assert len(show({"a": result()}).splitlines()) == 2
    assert "x/results.json" in show.said.err


def test_nothing_to_list_is_an_error(show):
    assert show({"a": "{"}, status=1) == ""
    assert "a/results.json" in show.said.err


def test_a_folder_without_runs(tmp_path, capsys):
    assert main(["results", str(tmp_path)]) == 1
    assert "no results.json under" in capsys.readouterr().err


# ---------------------------------------------------------------------- folds
def test_folds_are_in_their_summary(show):
    fold = result("SUPERB/ER", value=0.6, settings={"fold": 1})
    summary = result("SUPERB/ER", value=0.65)
    summary["metrics"]["accuracy_std"] = 0.02
    summary["folds"] = [{"fold": k, "folder": f"fold{k}"} for k in (1, 2)]
    runs = {"er": summary, "er/fold1": fold, "er/fold2": fold, "alone/fold1": fold}
    lines = show(runs).splitlines()
    assert len(lines) == 3
    assert "accuracy 65.00 ± 2.00 % (2 folds)" in lines[2]
    assert "alone/fold1" in lines[1]


# ----------------------------------------------------------------- forms and order
def test_json_has_all_that_is_known(show):
    found = json.loads(show(THREE, "--format", "json"))
    assert [run["settings"] for run in found] == [
        {},
        {"freeze": False},
        THREE["c"]["settings"],
    ]
    assert all("folder" in run and "identity" in run for run in found)


def test_markdown(show):
    runs = {"a": result(), "b": result(settings={"head": "x|y"})}
    lines = show(runs, "--format", "markdown").splitlines()
    assert len(lines) == 4 and "---:" in lines[1] and "x\\|y" in lines[3]
    bars = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(bars)) == 1


def test_csv_is_of_numbers(show):
    runs = {"a": result(value=0.123456), 'b, "c"': result("SUPERB/PR", "per", 0.2)}
    rows = table(show(runs, "--format", "csv"))
    assert float(rows[0]["accuracy [%]"]) == pytest.approx(12.3456)
    assert rows[0]["per [%]"] == "" and float(rows[1]["per [%]"]) == 20
    assert float(rows[0]["seconds"]) == 61.4 and rows[1]["folder"].endswith('b, "c"')


def test_the_held_out_loss_of_a_pretraining_is_no_test(show):
    """It has a column of its own, beside that of runs with a test set."""
    pretrained = result("pretraining/tera", "loss", 0.4567, split="valid")
    lines = show({"a": pretrained}).splitlines()
    assert "held-out" in lines[0].split() and "test" not in lines[0].split()
    assert "loss 0.4567" in lines[-1]
    both = {"a": pretrained, "b": result(value=0.5)}
    rows = show(both, "--format", "markdown").splitlines()
    header, _, first, second = ([c.strip() for c in r.split("|")] for r in rows)
    assert first[header.index("held-out")] == "loss 0.4567"
    assert first[header.index("test")] == "" == second[header.index("held-out")]
    [one, other] = table(show(both, "--format", "csv"))
    assert one["held-out loss"] == "0.4567" and other["held-out loss"] == ""
    assert folders(table(show(both, "--format", "csv", "--sort", "metric"))) == [
        "b",
        "a",
    ]
    show({"c": result(split=["test"])})
    assert "neither test nor valid" in show.said.err


RUNS = {
    "a": result(value=0.5, lr=0.1, seconds=9.0),
    "b": result(value=0.9, lr=0.01, seconds=100.0, settings={"total_steps": 20}),
    "c": result(value=0.9, lr=0.001, seconds=20.0, seed=0),
    "d": result("SUPERB/PR", "per", 0.3, seconds=1.0),
    "e": result("SUPERB/PR", "per", 0.1, seconds=2.0),
}


@pytest.mark.parametrize(
    "key, order",
    [
        ("metric", "edbca"),  # by task; the best first; equal ones as they were
        ("accuracy", "abcde"),
        ("per", "edabc"),
        ("time", "deacb"),
        ("seed", "cabde"),
        ("lr", "decba"),
        ("total_steps", "bacde"),
        ("steps", "bacde"),
        ("task", "abcde"),
        ("folder", "abcde"),
    ],
)
def test_sorted(show, key, order):
    rows = table(show(RUNS, "--format", "csv", "--sort", key))
    if key == "metric":  # tasks by their names
        order = "bcaed"
    assert "".join(folders(rows)) == order


def test_an_unknown_key_lists_those_there_are(show):
    show(RUNS, "--sort", "acuracy", status=1)
    assert "Did you mean accuracy" in show.said.err
    show(RUNS, "--sort", "zzz", status=1)
    for key in ("metric", "time", "per", "total_steps", "seed", "lr"):
        assert key in show.said.err


@pytest.mark.parametrize("width", (30, 60, 80, 120, 500))
def test_a_terminal_gets_what_fits(show, monkeypatch, width):
    monkeypatch.setattr(columns, "terminal_width", lambda _: width)
    lines = show(THREE).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].split()[0] == "task"
    if width >= 60:
        assert "trained" in lines[0]
    if width == 500:
        assert "protocol" in lines[0] and "folder" in lines[0]


# ------------------------------------------------------------ what nobody thought of
HOSTILE = "a\x1b]0;b\x07\x1b[2Jc\nd\te\u202ef"


@pytest.mark.parametrize("form", ("text", "csv", "markdown"))
def test_names_do_not_move_a_terminals_cursor(show, form):
    runs = {"a": result(upstream=HOSTILE), f"x{HOSTILE}": result(), "y\x1b[2J": "{"}
    printed = show(runs, "--format", form)
    for character in "\x1b\x07\t\u202e":
        assert character not in printed + show.said.err
    assert r"a\x1b]0;b\x07\x1b[2Jc\nd\te\u202ef" in printed
    assert len(printed.splitlines()) == (4 if form == "markdown" else 3)
    assert show.said.err.count("\n") == 1


def test_an_error_of_any_verb_does_not_either(capsys):
    assert main(["check", "no\x1b[2Jcard.yaml"]) == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said and r"no\x1b[2Jcard" in said


@pytest.mark.parametrize("encoding", ("ascii", "utf-8"))
@pytest.mark.parametrize("form", ("text", "csv", "json", "markdown"))
def test_names_that_a_terminal_cannot_show(tmp_path, monkeypatch, encoding, form):
    for name in ("語", os.fsdecode(b"\xff")):
        (tmp_path / name).mkdir()
        text = json.dumps(result(upstream="\ud800"))
        (tmp_path / name / "results.json").write_text(text)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    assert main(["results", str(tmp_path), "--format", form]) == 0
    stream.seek(0)
    assert stream.read().count("accuracy") >= 1


def test_columns_have_names_of_their_own(show):
    """An identity has a part "upstream" too."""
    one, other = result(), result()
    one["identity"]["upstream"], other["identity"]["upstream"] = "1" * 64, "2" * 64
    header, *rows = csv.reader(
        io.StringIO(show({"a": one, "b": other}, "--format", "csv"))
    )
    assert len(set(header)) == len(header)
    assert [row[header.index("upstream")] for row in rows] == ["hubert_base"] * 2
    marks = [row[header.index("upstream identity")] for row in rows]
    assert marks == ["1" * 8, "2" * 8]


def test_hashes_that_go_with_what_is_trained_are_no_column(show):
    runs = {k: json.loads(json.dumps(run)) for k, run in THREE.items()}
    runs["c"]["upstream_model"]["adapter"] = {"kind": "lora"}
    for name, run in runs.items():
        run["identity"]["upstream"] = name * 64
    runs["c"]["identity"]["weights"] = "cd" * 32  # an adapter has weights too
    header = show(runs, "--format", "csv").splitlines()[0].split(",")
    assert "trained" in header
    assert "weights" not in header and "upstream identity" not in header
    runs["b"]["identity"]["weights"] = "ef" * 32  # fine-tuned from another checkpoint
    rows = table(show(runs, "--format", "csv"))
    assert [row["weights"] for row in rows][:2] == ["abababab", "efefefef"]


def test_what_is_turned_off_differs_from_what_is_on(show):
    other = result(settings={"spec_augment": None})
    other["defaults"]["spec_augment"] = {"freq_masks": 4}
    rows = table(show({"a": result(), "b": other}, "--format", "csv"))
    assert [row["spec_augment"] for row in rows] == ['{"freq_masks": 4}', "null"]


def test_options_of_the_upstream_are_columns(show):
    other = result(settings={"upstream_model.num_mel_bins": 40})
    other["protocol"] = result()["protocol"]  # any model may be compared
    rows = table(show({"a": result(), "b": other}, "--format", "csv"))
    assert [row["num_mel_bins"] for row in rows] == ["", "40"]


def test_what_is_half_written_or_hidden_is_no_run(show):
    runs = {"a": result(), ".export.part/x": result(), ".trash/y": result()}
    assert folders(table(show(runs, "--format", "csv"))) == ["a"]


def test_what_is_in_the_making_is_no_run(tmp_path, monkeypatch):
    """An export that is being written, and folders that vanish meanwhile."""
    for name in (".exported.part/new", "debug", "gone"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "results.json").write_text("{}")
    walk = os.walk

    def vanishing(folder, **options):
        for place in walk(folder, **options):
            shutil.rmtree(tmp_path / "gone", ignore_errors=True)
            yield place

    monkeypatch.setattr(runs.os, "walk", vanishing)
    failed = []
    assert runs.find_runs([tmp_path], failed.append) == [] and failed == []


def test_a_folder_given_twice_is_listed_once(show, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)  # round and round
    text = show({"a": result()}, str(tmp_path), str(tmp_path / "link"), "--format=csv")
    assert len(table(text)) == 1


def test_a_folder_that_cannot_be_read_is_named(show, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    text = show({"a": result(), "locked/b": result()}, "--format", "csv")
    assert len(table(text)) == 1
    assert "locked' cannot be read: Permission denied" in show.said.err


def test_no_number_comes_last(show):
    runs = {"a": result(value=float("nan")), "b": result(value=0.2), "c": result()}
    for key in ("metric", "accuracy"):
        order = folders(table(show(runs, "--format", "csv", "--sort", key)))
        assert order[-1] == "a"

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(show(runs, "--format", "json"), parse_constant=refuse)
    assert found[0]["metrics"] == {"accuracy": None}


@pytest.mark.parametrize("form", ("text", "csv", "json", "markdown"))
def test_each_column_sorts_in_each_form(show, form):
    runs = {"a": result(seed=3, seconds=9.0), "b": THREE["b"], "c": result("digits")}
    header = show(runs, "--format", "csv").splitlines()[0].split(",")
    names = [name.removesuffix(" [%]") for name in header]
    for name in (*names, "metric", "test", "time", "total_steps"):
        assert show(runs, "--format", form, "--sort", name)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"metrics": {"accuracy": None}}, "its 'accuracy' is no number"),
        ({"metrics": {"accuracy": "1"}}, "its 'accuracy' is no number"),
        ({"seconds": None}, "its 'seconds' is no number"),
        ({"task": ["KS"]}, "its 'task' is no text"),
        ({"upstream": 3}, "its 'upstream' is no text"),
    ],
)
def test_what_is_wrong_is_said_in_words(show, change, problem):
    show({"a": result(), "b": {**result(), **change}})
    assert problem in show.said.err


@pytest.mark.parametrize(
    ("task", "measured", "shown"),
    [
        ("SUPERB/VC/vcc2016", {"mel_l1": 0.7, "mcd": 7.5}, "mcd 7.50 dB"),
        ("SUPERB/VC", {"mel_l1": 0.7}, "mel_l1 0.7000"),  # without the extra
        ("SUPERB/SE/stft2", {"pesq": 1.5, "stoi": 0.9}, "pesq 1.50, stoi 90.00 %"),
        ("SUPERB/ST/asr", {"wer": 0.2, "cer": 0.1}, "wer 20.00 %"),
    ],
)
def test_variant_is_judged_by_the_metrics_of_its_task(task, measured, shown, show):
    run = result(task, next(iter(measured)), metrics=measured)
    assert f" {shown} " in show({"run": run})
    brain = types.SimpleNamespace(
        task=task, metric=next(iter(measured)), tested=measured, hparams=None
    )
    assert shown.split(",")[0].split(" ")[0] in plots.heading(brain)
