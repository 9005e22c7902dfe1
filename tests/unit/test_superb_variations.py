"""One thing changed for all tasks of s3prl-sb superb: plan, rows, curves, rankings."""

import argparse
import csv
import json
import shlex

import pytest

from s3prl_sb.benchmark import (
    budgets,
    command,
    configurations,
    curves,
    layout,
    plan,
    plots,
    rankings,
    remembered,
    requirements,
    robustness,
    row_names,
    superb,
    table,
    variations,
)
from s3prl_sb.engines.local import Local
from s3prl_sb.errors import UserError
from s3prl_sb.runs.suite_tasks import tasks_of
from s3prl_sb.runs.suites import SUPERB

TASKS = tasks_of(SUPERB)

PROTOCOL = {"followed": False, "settings": {}, "data": None, "differs": ["a key"]}
#: Metrics of stub runs: those of KS, SID, ER; ASR; QbE; ASV; SD.
METRICS = ("accuracy", "wer", "mtwv", "eer", "der")


def parsed(line):
    parser = argparse.ArgumentParser()
    superb.add_arguments(parser)
    return parser.parse_args(shlex.split(line))


def varied(line, budget=None, places=None):
    """The variations of a command, and the names of their rows."""
    found = variations.read(parsed(line), budget or {}, places or {}, TASKS)
    rows = [
        configurations.RowConfiguration(
            places or {}, {}, changes=each.changes, refused=each.refused
        )
        for each in found
    ]
    return found, row_names.titles_of(rows)


# ------------------------------------------------------------------ the command line
def test_keys_apply_to_the_tasks_that_have_them():
    [each], [name] = varied("--set noise.snr=[0,15] scheduler=cosine --set lr=0.5")
    noise = {"noise": {"snr": [0, 15]}, "scheduler": "cosine", "lr": 0.5}
    assert each.changes["KS"] == each.changes["ASR"] == noise
    assert each.changes["QbE"] == {} and not each.refused
    assert each.without == {key: ["QbE"] for key in noise}
    assert name == "noise.snr=[0, 15], scheduler=cosine, lr=0.5"


def test_values_with_spaces_commas_brackets_and_quotes(tmp_path):
    folder = tmp_path / "a, [b] it's"
    folder.mkdir()
    value = f"noise={{snr: [0, 15], folder: {json.dumps(str(folder))}}}"
    [each], _ = varied(f"--set {shlex.quote(value)}")
    assert each.changes["SID"]["noise"] == {"snr": [0, 15], "folder": str(folder)}


def test_keys_of_one_task_come_before_those_of_all():
    [each], [name] = varied("--set lr=1 KS.lr=0.1 SID.crops=2")
    assert each.changes["KS"]["lr"] == 0.1 and each.changes["SID"]["lr"] == 1
    assert each.changes["SID"]["crops"] == 2 and "crops" not in each.changes["ASV"]
    assert name == "lr=1, KS.lr=0.1, SID.crops=2"


def test_tasks_are_named_in_lower_case_too():
    assert (
        varied("--set ks.lr=1 qbe.distance=cosine")[1]
        == varied("--set KS.lr=1 QbE.distance=cosine")[1]
    )


def test_null_is_named_as_it_is_written():
    _, [name] = varied("--set noise.snr=[0,15] KS.noise=null")
    assert name == "noise.snr=[0, 15], KS.noise=null"


def test_entries_are_merged_into_those_of_the_budget():
    budget = {"KS": {"noise": {"draws": 4}, "head": {"hidden_size": 8}}}
    [each], _ = varied("--set noise.snr=5 head=mlp", budget)
    assert each.changes["KS"] == {"noise": {"draws": 4, "snr": 5}, "head": "mlp"}
    assert each.changes["SID"]["noise"] == {"snr": 5}
    assert budget["KS"]["noise"] == {"draws": 4}


def test_a_row_for_each_head_and_amount():
    found, names = varied("--heads default ecapa --train_per_class 1 5 --train_hours 2")
    assert names == [
        f"{head}{amount}"
        for head in ("", "head=ecapa · ")
        for amount in ("2 h", "1 per class", "5 per class")
    ]
    assert found[1].changes["KS"] == {"train_per_class": 1}
    assert found[-1].changes["KS"] == {"head": "ecapa", "train_per_class": 5}


def test_a_head_that_does_not_fit_is_no_failure():
    found, _ = varied("--heads default ecapa")
    assert found[0] == variations.Variation({t: {} for t in found[0].changes}, {}, {})
    refused = {"ASR", "PR", "QbE", "SD", "SF", "OOD-ASR", "SE", "SS", "ST", "VC"}
    assert set(found[1].refused) == refused
    assert "ASR" not in found[1].changes and "mlp" in found[1].refused["ASR"]
    assert found[1].refused["QbE"] == "its recipe has no head"


def test_a_combination_that_does_not_fit_is_no_failure():
    found, _ = varied("--train_per_class 2", {"SD": {"train_fraction": 0.5}})
    assert found[0].refused["QbE"] == "its recipe has no train_per_class"
    assert found[0].refused["SD"] and "SD" not in found[0].changes


@pytest.mark.parametrize(
    "line, message",
    [
        ("--set noize.snr=3", "--set: there is no key 'noize'. Did you mean noise"),
        ("--set seed=3", "--set: 'seed' is set by the command itself"),
        ("--set KS.seed=3", "--set: KS: 'seed' is set by the command itself"),
        ("--set KS.crop=3", "--set: KS: there is no key 'crop'"),
        ("--set lr=abc", "--set: PR: lr is a number above 0, .* not 'abc'"),
        ("--set total_steps=7 steps_per_epoch=2", "total_steps 7 is no multiple"),
        ("--set KS.total_steps=7 KS.steps_per_epoch=2", "KS: total_steps 7 is no mul"),
        ("--set noise", "noise"),
        ("--set lr=1 lr=2", "lr"),
        ("--heads ecpa", "--heads: there is no head 'ecpa'. Did you mean ecapa"),
        ("--heads '{hidden_size: 8}'", "names none: give such as '{name: mlp}'"),
        ("--heads mlp mlp", "--heads mlp mlp: give different values"),
        ("--heads mlp '{name: mlp}'", "--heads mlp {name: mlp}: give different values"),
        ("--heads mlp --set head=rnn", "head is set twice"),
        ("--train_hours 1 --set KS.train_hours=2", "train_hours is set twice"),
        ("--train_hours 1 1", "--train_hours 1.0 1.0: give different values"),
        ("--train_hours 0", "--train_hours: PR: train_hours is a number above 0"),
        ("--train_hours nan", "--train_hours: PR: train_hours is a number above 0"),
        ("--train_hours inf", "--train_hours: PR: train_hours is a number above 0"),
        ("--train_fraction 2", "train_fraction is a number above 0, up to 1"),
    ],
)
def test_wrong_changes_are_refused(line, message):
    with pytest.raises(UserError, match=message):
        varied(line)


def test_a_head_is_not_set_by_budget_and_option():
    with pytest.raises(UserError, match="twice: by --budget, and by --heads"):
        varied("--heads default", {"KS": {"head": "mlp"}})


def test_all_of_a_budget_takes_the_new_keys(tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("all: {noise: {snr: [0, 15]}, head: ecapa}\nPR: {head: mlp}\n")
    refused = {}
    budget = budgets.read_budget(str(path), refused)
    assert budget["KS"] == {"noise": {"snr": [0, 15]}, "head": "ecapa"}
    assert budget["PR"] == {"noise": {"snr": [0, 15]}, "head": "mlp"}
    generative = {"SE", "SS", "ST", "VC"}
    assert set(refused) == {"ASR", "SD", "SF", "OOD-ASR", *generative}
    assert budget["SD"] == {}
    with pytest.raises(UserError, match=r"b.yaml: all: ASR: .*ecapa"):
        budgets.read_budget(str(path))
    path.write_text("all: {head: ecpa}")
    with pytest.raises(UserError, match="b.yaml:1: PR: .*ecpa"):
        budgets.read_budget(str(path), {})


# ---------------------------------------------------------------------------- the plan
PLACES = {task: {"data_folder": "/data"} for task in ("KS", "SID", "ASR", "QbE")}


def planned(line, output):
    rows = [
        configurations.RowConfiguration(
            PLACES, {}, changes=each.changes, refused=each.refused, output=output
        )
        for each in variations.read(parsed(line), {}, PLACES, TASKS)
    ]
    keys = [{task: row.requested(task) for task in PLACES} for row in rows]
    return plan.make(["mel"], list(PLACES), PLACES, keys, output)


def test_rows_share_runs_of_equal_keys(tmp_path):
    plain = plan.make(["mel"], list(PLACES), PLACES, {}, tmp_path)
    runs = planned("--heads default ecapa", tmp_path)
    assert [(run.task, run.overrides.get("head")) for run in runs] == [
        ("KS", None),
        ("KS", "ecapa"),
        ("SID", None),
        ("SID", "ecapa"),
        ("ASR", None),
        ("QbE", None),
    ]
    folders = [run.folder for run in runs]
    assert len(set(folders)) == 6
    assert [run.folder for run in plain] == [folders[i] for i in (0, 2, 4, 5)]


def test_jobs_say_in_what_they_differ(tmp_path):
    jobs = plan.jobs(planned("--heads default ecapa --train_per_class 2", tmp_path))
    assert [job.name for job in jobs][:2] == [
        "mel KS 1986",
        "mel KS 1986 (head=ecapa)",
    ]


def test_the_code_of_a_head_counts(tmp_path):
    names = [
        {
            run.overrides.get("head"): set(run.configuration["code"]["modules"])
            for run in planned(f"--heads {head}", tmp_path)
        }
        for head in ("default", "xvector")
    ]
    module = "s3prl_sb.lobes.heads.xvector"
    assert module in names[1]["xvector"] and module not in names[0][None]


def test_the_code_of_a_head_of_ones_own_counts_and_not_its_place(tmp_path):
    code = "import torch\n\n\nclass Mine(torch.nn.Linear):\n    {}\n"
    digests = []
    for folder, body in (("a", "pass"), ("b", "pass"), ("c", "x = 1")):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "heads.py"
        file.write_text(code.format(body))
        run = plan.make(
            ["mel"], ["KS"], PLACES, {"KS": {"head": f"{file}:Mine"}}, tmp_path / "out"
        )[0]
        digests.append(run.folder.name)
    assert digests[0] == digests[1] != digests[2]


def test_noise_is_known_by_content_and_missed_early(tmp_path):
    folder = tmp_path / "noise"
    keys = {"KS": {"noise": {"snr": 5, "folder": str(folder)}}}
    [run] = plan.make(["mel"], ["KS"], PLACES, keys, tmp_path / "out")
    with pytest.raises(UserError, match=f"noise.folder: '{folder}' is not there"):
        requirements.check([run])
    folder.mkdir()
    with pytest.raises(UserError, match=f"noise.folder: no recordings .*{folder}'"):
        requirements.check([run])
    folders = []
    for content in ("a", "b"):
        (folder / "rain.wav").write_text(content)
        [run] = plan.make(["mel"], ["KS"], PLACES, keys, tmp_path / "out")
        folders.append(run.folder)
    assert folders[0] != folders[1]


# ---------------------------------------------------------------------- tests in noise
@pytest.mark.parametrize(
    "line, message",
    [
        ("--test_snr 10 10", "--test_snr 10 10: give different numbers"),
        ("--test_snr 10 10.0000001", "give different numbers"),
        ("--test_snr nan", "--test_snr nan: give different numbers"),
        ("--test_noise_folder .", "--test_noise_folder needs --test_snr"),
        ("--test_snr 5 --test_noise_folder /nowhere", "'/nowhere' is no folder"),
    ],
)
def test_wrong_tests_in_noise(line, message):
    with pytest.raises(UserError, match=message):
        robustness.conditions(parsed(line))


def test_noise_without_recordings_is_missed_early(tmp_path):
    (tmp_path / "readme.txt").write_text("rain")
    line = f"--test_snr 5 --test_noise_folder {tmp_path}"
    with pytest.raises(UserError, match="--test_noise_folder: no recordings under"):
        robustness.conditions(parsed(line))


def test_a_test_has_one_noise(tmp_path):
    [run] = plan.make(
        ["mel"], ["KS"], PLACES, {"KS": {"test_noise": {"snr": 3}}}, tmp_path
    )
    with pytest.raises(UserError, match="KS: test_noise is set, and --test_snr sets"):
        robustness.check([run])


def scored(folder, **metrics):
    (folder / "score").mkdir(parents=True)
    (folder / "score/results.json").write_text(json.dumps({"metrics": metrics}))


def test_jobs_in_noise_come_after_their_run_and_are_not_repeated(tmp_path):
    runs = plan.make(["mel"], ["KS"], PLACES, {}, tmp_path)
    [job] = plan.jobs(runs)
    tested = robustness.conditions(parsed("--test_snr 10 -2.5"))
    first, second = robustness.jobs(runs, tested)
    assert first.after == second.after == [job] and not first.is_done()
    assert (first.name, second.name) == (
        "mel KS 1986 at 10 dB",
        "mel KS 1986 at -2.5 dB",
    )
    line = list(map(str, first.command()))
    assert line[1:5] == ["-m", "s3prl_sb.cli", "score", str(runs[0].folder)]
    assert line[5:] == [
        '--test_noise={"snr": 10.0}',
        "--output",
        f"{runs[0].folder}/noisy/10dB/score",
    ]
    scored(first.folder, accuracy=0.5)
    assert first.is_done() and not second.is_done()
    assert robustness.results(runs[0].folder) == [
        {
            "snr": 10.0,
            "noise": "white noise",
            "content": None,
            "metrics": {"accuracy": 0.5},
        }
    ]


def test_recordings_of_noise_are_known_by_content(tmp_path):
    (tmp_path / "rain").mkdir()
    runs = plan.make(["mel"], ["KS"], PLACES, {}, tmp_path / "out")
    plan.jobs(runs)
    folders = []
    for content in ("a", "b"):
        (tmp_path / "rain/a.wav").write_text(content)
        line = f"--test_snr 10 --test_noise_folder {tmp_path}/rain"
        [job] = robustness.jobs(runs, robustness.conditions(parsed(line)))
        folders.append(job.folder)
        assert f'"folder": "{tmp_path}/rain"' in job.command()[5]
    assert folders[0] != folders[1]


def test_a_cross_validation_is_tested_fold_by_fold(tmp_path):
    runs = plan.make(["mel"], ["ER"], {"ER": {"data_folder": "/data"}}, {}, tmp_path)
    plan.jobs(runs)
    tested = robustness.conditions(parsed("--test_snr 10"))
    jobs = robustness.jobs(runs, tested)
    folds = [runs[0].folder / f"fold{fold}" for fold in range(1, 6)]
    assert [job.folder.parents[1] for job in jobs] == folds
    assert jobs[0].name == "mel ER 1986 fold1 at 10 dB"
    names = [fold.name for fold in folds]
    for number, job in enumerate(jobs):
        assert not robustness.results(runs[0].folder, names)  # some folds are no mean
        job.command()
        scored(job.folder, accuracy=0.2 * number)
    [found] = robustness.results(runs[0].folder, names)
    assert found["metrics"]["accuracy"] == pytest.approx(0.4)


# ---------------------------------------------------------------------------- the rows
def outcome(stamp):
    """Results of a stub run, the better the more data, and the less noise."""
    keys = stamp["overrides"]
    value = 0.3 + 0.05 * keys.get("train_per_class", 8) + stamp["seed"] / 1000
    value -= 0.1 * ("noise" in keys) + 0.02 * len(stamp["upstream"]["class"]) / 100
    numbers = {"wer": 1 - value, "mtwv": 0.2, "eer": 1 - value, "der": 1 - value}
    return {
        "metrics": {"accuracy": value, **numbers},
        "valid": {},
        "seconds": 1.0,
        "lr": 0.1,
        "protocol": PROTOCOL,
    }


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """The command, whose jobs end at once; gives the table of all and the streams."""
    lines = [f"{t}: {{data_folder: /{t}}}" for t in ("KS", "SID", "ASR", "QbE", "SD")]
    (tmp_path / "data.yaml").write_text("\n".join(lines))

    def run(self, jobs, ended=None):
        for job in jobs:
            if job.is_done():
                continue
            made.append(job.name)
            job.folder.mkdir(parents=True, exist_ok=True)
            line = job.command()
            if "score" in line:
                ratio = json.loads(line[5].partition("=")[2])["snr"]
                run_ = json.loads((line[4] / "results.json").read_text())["metrics"]
                worse = {k: v - (30 - ratio) / 300 for k, v in run_.items()}
                scored(job.folder, **worse)
                continue
            stamp, _ = plan.read_stamp(job.folder)
            (job.folder / "results.json").write_text(json.dumps(outcome(stamp)))

    def plot(each, path):
        path.touch()

    made = []
    monkeypatch.setattr(Local, "run", run)
    monkeypatch.setattr(plots, "plot", plot)
    monkeypatch.setattr(requirements, "check", lambda runs, toys: None)  # no corpora

    def start(line):
        made.clear()
        capsys.readouterr()
        common = f"--output {tmp_path}/out --data {tmp_path}/data.yaml"
        upstream = "" if "--upstream" in line else " --upstream mel"
        assert command.main(parsed(f"{common}{upstream} {line}")) == 0
        said = capsys.readouterr()
        return table.read(tmp_path / "out"), said.out, said.err

    start.made = made
    return start


def states(found):
    return {
        row["upstream"]: {task: cell["state"] for task, cell in row["cells"].items()}
        for row in found["rows"]
    }


def test_rows_by_condition_head_and_amount(bench):
    found, printed, said = bench(
        "--tasks KS ASR QbE --heads default ecapa --set noise.snr=[0,15] "
        "--train_per_class 5"
    )
    done, no = "done", "refused"
    noise = "mel · noise.snr=[0, 15]"
    rows = states(found)
    assert list(rows) == [
        f"{noise} · 5 per class",
        f"{noise} · head=ecapa · 5 per class",
    ]
    assert rows[f"{noise} · head=ecapa · 5 per class"] == {
        "KS": done,
        "ASR": no,
        "QbE": no,
    }
    assert "–: no ASR with noise.snr=[0, 15] · head=ecapa · 5 per class: " in printed
    assert "its recipe has no head" in said and "its recipe has no head" in printed
    line = next(x for x in printed.splitlines() if "ecapa" in x and "–" in x)
    assert line.split()[-2:] == ["–", "–"]
    assert found["rows"][0]["about"]["amount"] == ["train_per_class", 5]


def test_tasks_without_a_key_are_told_and_shared(bench):
    bench("--tasks KS QbE")
    assert sorted(bench.made) == ["mel KS 1986", "mel QbE 1986"]
    found, printed, said = bench("--tasks KS QbE --set noise.snr=5")
    assert bench.made == ["mel KS 1986"]  # QbE is the same run
    assert "noise: not of QbE, which ran without it" in said
    assert "noise: not of QbE, which ran without it" in printed
    assert [sorted(cells) for cells in states(found).values()] == [["KS", "QbE"]] * 2


def test_several_commands_add_rows_and_run_nothing_twice(bench):
    bench("--tasks KS SID")
    bench("--tasks KS SID --heads default ecapa")
    assert len(bench.made) == 2  # those of ecapa
    bench("--tasks KS SID --heads ecapa --test_snr 10")
    assert len(bench.made) == 2  # their tests in noise
    found, _, _ = bench("--tasks KS --heads ecapa default")
    assert not bench.made
    assert sorted(states(found)) == ["mel", "mel · head=ecapa"]


def test_names_that_are_lost_are_derived_from_the_runs(bench, tmp_path):
    bench("--tasks KS SID --heads ecapa --train_per_class 5 2")
    (tmp_path / "out" / remembered.RECORD).unlink()
    found, _, _ = bench("--tasks KS")
    names = list(states(found))
    assert names[0] == "mel" and len(names) == 3
    amounts = [row["about"]["amount"] for row in found["rows"][1:]]
    assert sorted(amounts) == [["train_per_class", 2], ["train_per_class", 5]]
    assert all("head=ecapa" in name for name in names[1:])


def test_robustness(bench, tmp_path):
    found, printed, _ = bench("--tasks KS SD QbE --seeds 2 --test_snr 20 0")
    tests = found["rows"][0]["cells"]["KS"]["noisy"]
    assert [test["snr"] for test in tests] == [20, 0]
    clean = found["rows"][0]["cells"]["KS"]["metrics"]["accuracy"]["mean"]
    summary = tests[1]["metrics"]["accuracy"]
    assert summary["mean"] == pytest.approx(clean - 10) and summary["seeds"] == 2
    lines = printed.splitlines()
    start = lines.index("Robustness to white noise: signal-to-noise ratio, dB")
    assert lines[start + 1].split()[-5:] == ["clean", "20", "dB", "0", "dB"]
    assert lines[start + 3].split()[:3] == ["KS", "Acc", "↑"]
    with open(tmp_path / "out/robustness.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["snr"] for row in rows if row["task"] == "KS"] == ["", "20.0", "0.0"]
    assert float(rows[0]["mean"]) == pytest.approx(clean)
    assert (tmp_path / "out/robustness.png").exists()
    # Of one seed more, some seeds are no mean.
    bench("--tasks KS --seeds 3")
    assert not table.read(tmp_path / "out")["rows"][0]["cells"]["KS"]["noisy"]
    # Everything is in the table that is only printed, and in Markdown.
    assert command.main(parsed(f"--table {tmp_path}/out")) == 0
    assert "### Robustness to white noise" in (tmp_path / "out/table.md").read_text()


def test_amounts(bench, tmp_path):
    line = "--tasks KS SID --train_per_class 1 5 --heads default ecapa --seeds 2"
    found, printed, _ = bench(line)
    [each] = curves.of_table(found)
    assert each.points == [1, 5] and list(each.lines) == ["mel", "mel · head=ecapa"]
    assert each.lines["mel"]["KS", "accuracy"][5]["seeds"] == 2
    assert (
        "training utterances per class  1 per class" in " ".join(printed.split("  "))
        or "1 per class" in printed
    )
    with open(tmp_path / "out/amounts-per_class.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["train_per_class"] for row in rows} == {"1", "5"}
    assert len(rows) == 2 * 2 * 2


def test_the_amount_of_one_task_is_not_that_of_others(bench):
    bench("--tasks KS SID --set KS.train_hours=1")
    found, *_ = bench("--tasks KS SID --set KS.train_hours=10")
    assert [row["about"]["amount"] for row in found["rows"]] == [None, None]
    assert not curves.of_table(found)


def test_one_amount_is_no_curve(bench):
    found, printed, _ = bench("--tasks KS --train_per_class 5")
    assert not curves.of_table(found) and "Amount" not in printed


def test_lines_fit_a_terminal_of_80_columns(bench):
    found, *_ = bench(
        "--upstream mel fbank_no_cmvn linear --heads default ecapa --tasks KS SID SD "
        "--train_per_class 1 5 --set noise.snr=[0,15] --test_snr 20 10 5 0"
    )
    text = layout.as_text(found, width=80)
    tables = text.partition("–: no ")[0]
    assert max(map(len, tables.splitlines())) <= 80
    for word in ("0 dB", "head=ecapa", "rankings of n upstreams", "overall"):
        assert word in text


# -------------------------------------------------------------------------- the curves
def made_curves(key="snr", lines=3, spread=1.0):
    each = curves.Curves("c", "Robustness to white noise", "noise, dB", key)
    for number in range(lines):
        for task, metric in (("KS", "accuracy"), ("SD", "der")):
            for point in (None, 20, 0) if key == "snr" else (1, 10, 100):
                summary = {"mean": 50 + number, "spread": spread, "seeds": 3}
                each.add(f"line {number}", task, point, {metric: summary})
    return each


@pytest.mark.parametrize("key", ("snr", "train_hours"))
@pytest.mark.parametrize("spread", (1.0, None))
def test_plots(key, spread, tmp_path):
    pytest.importorskip("matplotlib")
    each = made_curves(key, spread=spread)
    plots.plot(each, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert [task for task, _ in each.panels] == ["KS", "SD"]


def test_no_two_lines_look_alike():
    looks = [tuple(plots._style(number).values()) for number in range(60)]
    assert len(set(looks)) == 60


def test_a_legend_says_once_what_all_lines_share():
    names = ["mel · toy · lr=1", "mel · toy · lr=1 · head=mlp", "fbank · toy · lr=1"]
    short = ["mel", "mel · head=mlp", "fbank"]
    assert plots._without_shared(names) == (short, "all with toy · lr=1")
    assert plots._without_shared(names[:1]) == (names[:1], None)
    assert plots._without_shared(["mel", "fbank"]) == (["mel", "fbank"], None)


def test_the_clean_point_is_beside_the_others():
    places = plots._places(made_curves())
    assert places[0] < places[20] < places[None]


def test_noises_of_one_name_are_kept_apart():
    tests = [
        {
            "noise": "rain",
            "content": content,
            "snr": 5.0,
            "metrics": {"accuracy": {"mean": 2, "spread": None, "seeds": 1}},
        }
        for content in ("a" * 64, "b" * 64)
    ]
    clean = {"accuracy": {"mean": 3, "spread": None, "seeds": 1}}
    cell = {"state": "done", "metrics": clean, "noisy": tests}
    found = curves.of_table({"rows": [{"upstream": "mel", "cells": {"KS": cell}}]})
    assert [each.name for each in found] == [
        "robustness-rain",
        "robustness-rain-bbbbbb",
    ]


# ------------------------------------------------------------------------ the rankings
def row(upstream, setting, **values):
    cells = {
        task: {
            "state": "done",
            "runs": [{"folder": f"{upstream} {setting} {task}"}],
            "metrics": {key: {"mean": value, "spread": None, "seeds": 1}},
        }
        for task, (key, value) in values.items()
    }
    return {"about": {"upstream": upstream, "setting": setting}, "cells": cells}


def rows_of(numbers):
    """Rows of upstreams a, b, … for settings to tasks to (metric, values)."""
    return [
        row(
            "abcdef"[i],
            setting,
            **{task: (key, values[i]) for task, (key, values) in tasks.items()},
        )
        for setting, tasks in numbers.items()
        for i in range(len(next(iter(tasks.values()))[1]))
    ]


def test_rankings():
    numbers = {
        "": {"KS": ("accuracy", [90, 80, 70]), "SD": ("der", [9, 8, 7])},
        "head=mlp": {"KS": ("accuracy", [70, 80, 90]), "SD": ("der", [3, 2, 1])},
    }
    [pair] = rankings.compare(rows_of(numbers))
    assert pair["settings"] == ["default", "head=mlp"]
    assert pair["tasks"] == {"KS": {"rho": -1.0, "n": 3}, "SD": {"rho": 1.0, "n": 3}}
    # Mean ranks are equal in the first setting (1 and 3, 2 and 2, 3 and 1).
    assert pair["overall"] == {"rho": None, "n": 3, "tasks": 2}


@pytest.mark.parametrize("seed", range(5))
def test_rho_equals_scipys(seed):
    import random

    from scipy import stats

    draw = random.Random(seed)
    one, two = ([draw.randint(0, 6) for _ in range(9)] for _ in range(2))  # with ties
    expected = stats.spearmanr(one, two).statistic
    assert rankings.spearman(one, two) == pytest.approx(expected)


def test_no_rho_of_two_upstreams_or_of_the_same_runs():
    few = {s: {"KS": ("accuracy", [1, 2])} for s in ("", "head=mlp")}
    assert rankings.compare(rows_of(few)) == []
    rows = rows_of({s: {"KS": ("accuracy", [1, 2, 3])} for s in ("", "noise.snr=5")})
    assert len(rankings.compare(rows)) == 1
    for each in rows:
        each["cells"]["KS"]["runs"][0]["folder"] = each["about"]["upstream"]
    assert rankings.compare(rows) == []


def test_an_upstream_without_a_number_has_no_rank():
    values = {"": [1, 2, 3, float("nan")], "head=mlp": [1, 2, 3, 4]}
    rows = rows_of({s: {"KS": ("accuracy", v)} for s, v in values.items()})
    [pair] = rankings.compare(rows)
    assert pair["tasks"]["KS"] == {"rho": 1.0, "n": 3}


def test_rankings_are_printed_with_their_numbers(bench):
    found, printed, _ = bench(
        "--upstream mel fbank_no_cmvn linear --tasks KS SID --heads default ecapa"
    )
    [pair] = found["rankings"]
    assert pair["overall"]["n"] == 3 and pair["tasks"]["KS"]["n"] == 3
    lines = printed.splitlines()
    line = lines[lines.index("default and head=ecapa") + 1]
    assert line.startswith("  rho (n)") and line.count("(3)") == 3
    _, printed, _ = bench("--upstream mel linear --tasks KS --heads default ecapa")
    assert "Spearman" not in printed
