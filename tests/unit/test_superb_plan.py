"""s3prl-sb superb: its plan and its execution."""

import argparse
import copy
import json
import os
import runpy
import signal
import subprocess
import sys
import time

import pytest

from s3prl_sb import resources
from s3prl_sb.benchmark import (
    budgets,
    command,
    configurations,
    contents,
    data,
    parts,
    plan,
    superb,
)
from s3prl_sb.engines import guard
from s3prl_sb.engines.jobs import Job, last_lines, reason
from s3prl_sb.engines.local import Local
from s3prl_sb.errors import UserError
from s3prl_sb.runs import suite_tasks as tasks
from s3prl_sb.runs.suites import SUPERB


def make(output, seeds=(1, 2), rates=None, budget=None, upstreams=("mel",), **places):
    places = places or {"KS": {"data_folder": "/data"}}
    return plan.make(
        list(upstreams), list(places), places, budget or {}, output, seeds, rates
    )


def finish(run, **results):
    """As if it had been run."""
    run.command()
    metrics = {"metrics": {"accuracy": 0.5}, "seconds": 1.0, "valid": {}, **results}
    (run.folder / "results.json").write_text(json.dumps(metrics))


# ------------------------------------------------------------------------- the tasks
def test_tasks_by_name():
    assert tasks.find_tasks(["all"]) == tasks.tasks_of(["superb"])
    assert tasks.find_tasks(["ALL", "sg", "KS"]) == tasks.tasks_of(SUPERB)
    assert tasks.find_tasks(["sid,ks", "ASR"]) == ["KS", "SID", "ASR"]
    with pytest.raises(ValueError, match="no task 'SDI'. Did you mean S"):
        tasks.find_tasks(["SDI"])
    with pytest.raises(ValueError, match="no task 'sgg'. Did you mean sg"):
        tasks.find_tasks(["sgg"])
    for nothing in ([""], [","], []):
        with pytest.raises(ValueError, match="no task is named. There are: PR, KS"):
            tasks.find_tasks(nothing)


# -------------------------------------------------------------------------- the plan
def test_a_run_for_each_upstream_task_and_seed(tmp_path):
    places = {task: {"data_folder": "/data"} for task in ("KS", "SID")}
    runs = make(tmp_path, upstreams=["mel", "linear"], **places)
    assert [(r.task, r.title, r.seed) for r in runs] == [
        (task, title, seed)
        for task in ("KS", "SID")
        for title in ("mel", "linear")
        for seed in (1, 2)
    ]
    assert len({run.folder for run in runs}) == 8
    assert all(tmp_path in run.folder.parents for run in runs)


def test_a_single_corpus_of_ood_asr_has_results_in_the_folder_of_the_run(tmp_path):
    [run] = make(tmp_path, (1,), **{"OOD-ASR": {"language": "es"}})
    [word] = [w for w in map(str, run.words(tmp_path, {})) if w.startswith("--lang")]
    assert word.replace(" ", "").replace('"', "") == "--language=[es]"
    assert parts.names("OOD-ASR", run.overrides) == ["es"]


def test_corpora_of_ood_asr_are_those_of_its_recipe():
    file = resources.recipes()["SUPERB/OOD-ASR"] / "train.py"
    assert parts.names("OOD-ASR", {}) == [*runpy.run_path(str(file))["CORPORA"].values]


def test_runs_of_another_default_are_others(tmp_path, monkeypatch):
    """As when crops of SID were at new places: a value that is set is a change."""
    places = {"SID": {"data_folder": "/data"}}
    [now] = (run.folder for run in make(tmp_path, (1,), **places))
    changed = {**plan.settings("SID"), "crops": None}
    monkeypatch.setattr(plan, "settings", lambda task, variant: changed)
    [before] = make(tmp_path, (1,), **places)
    assert before.folder != now
    assert before.configuration["recipe"]["crops"] is None
    monkeypatch.undo()
    [again] = make(tmp_path, (1,), budget={"SID": {"crops": None}}, **places)
    assert again.folder not in (before.folder, now)
    row = configurations.RowConfiguration({"SID": {}}, {"SID": {"crops": None}})
    assert row.name() == ["crops=None"]


def test_what_is_not_trained_has_one_seed_and_no_search(tmp_path):
    [run] = make(tmp_path, rates=[0.1], QbE={"data_folder": "/data"})
    assert run.rates is None and run.searched_by is None


def test_the_command(tmp_path):
    run = make(tmp_path, budget={"KS": {"lr": 0.5, "layers": None}}, seeds=[7])[0]
    python, script, hparams, *rest = map(str, run.command())
    assert python == sys.executable
    assert script.endswith("recipes/SUPERB/KS/train.py")
    assert hparams.endswith("recipes/SUPERB/KS/hparams/train.yaml")
    assert {
        "--noprogressbar",
        "--upstream=mel",
        "--seed=7",
        "--lr=0.5",
        "--layers=null",
        "--data_folder=/data",
        f"--output_folder={run.folder}",
        f"--cache_folder={tmp_path}/cache",
    } == set(rest)


def test_one_seed_searches_for_all(tmp_path):
    first, second = make(tmp_path, rates=[0.1, 0.01])
    assert "--lr_search=[0.1, 0.01]" in first.command()
    # Before the search has ended, or where each fold has its own: for itself.
    assert "--lr_search=[0.1, 0.01]" in second.command()
    (first.folder / plan.SEARCH).write_text('{"best": 0.01}')
    assert "--lr=0.01" in second.command()
    jobs = plan.jobs([first, second])
    assert jobs[1].after == [jobs[0]] and not jobs[0].after


def test_done_is_what_has_results_of_this_very_configuration(tmp_path):
    first, second = make(tmp_path)
    assert not first.is_done()
    finish(first)
    assert first.is_done() and not second.is_done()
    assert make(tmp_path)[0].is_done()  # planned again
    for changed in (
        {"budget": {"KS": {"lr": 0.5}}},
        {"rates": [0.1]},
        {"KS": {"data_folder": "/elsewhere"}},
        {"upstreams": ["linear"]},
    ):
        run = make(tmp_path, **changed)[0]
        assert not run.is_done() and run.folder != first.folder
    (first.folder / plan.STAMP).write_text("{}")
    assert not first.is_done()


def test_a_changed_recipe_or_card_is_another_configuration(tmp_path, monkeypatch):
    card = tmp_path / "mine.yaml"
    text = "mine: !new:s3prl_sb.lobes.upstreams.features.StftFeatures\n    n_mels: {}\n"
    card.write_text(text.format(40))
    before = make(tmp_path, upstreams=[str(card)])[0].folder
    assert before.parts[-3:-1] == ("mine", "KS")
    card.write_text("# a comment\n" + text.format(40))
    assert make(tmp_path, upstreams=[str(card)])[0].folder == before
    card.write_text(text.format(80))
    assert make(tmp_path, upstreams=[str(card)])[0].folder != before
    mel = make(tmp_path)[0].folder
    recipe = copy.deepcopy(plan.settings("KS"))
    recipe["batch_size"] = 1
    monkeypatch.setattr(plan, "settings", lambda task, variant: recipe)
    assert make(tmp_path)[0].folder != mel


def test_changed_weights_are_another_configuration(tmp_path):
    card = tmp_path / "mine.yaml"
    card.write_text(
        "mine: !new:s3prl_sb.lobes.upstreams.hubert.Hubert\n"
        "    source: [weights.pt, https://nowhere.org/weights.pt]\n"
    )
    folders = []
    for content in ("", "1", "22"):
        if content:
            (tmp_path / "weights.pt").write_text(content)
        folders.append(make(tmp_path, upstreams=[str(card)])[0].folder)
    os.utime(tmp_path / "weights.pt", (1, 1))  # what it holds counts, not when
    assert make(tmp_path, upstreams=[str(card)])[0].folder == folders[-1]
    (tmp_path / "weights.pt").write_text("33")  # of the same size and time
    os.utime(tmp_path / "weights.pt", (1, 1))
    folders.append(make(tmp_path, upstreams=[str(card)])[0].folder)
    assert len(set(folders)) == 4


def test_data_that_changed_under_the_same_path_are_other_data(tmp_path):
    folder = tmp_path / "corpus" / "yes"
    folder.mkdir(parents=True)
    wav = folder / "a.wav"
    wav.write_text("one")

    def planned(place="corpus"):
        output, data = tmp_path / "out", {"data_folder": str(tmp_path / place)}
        return make(output, KS=data)[0]

    first = planned()
    finish(first)
    assert planned().is_done()
    stat = os.stat(wav)
    wav.write_text("two")  # of the same size and time
    os.utime(wav, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = planned()
    assert not second.is_done() and second.folder != first.folder
    assert (first.folder / "results.json").is_file()  # nothing is deleted
    (tmp_path / "corpus").rename(tmp_path / "moved")
    assert planned("moved").folder == second.folder  # where it lies does not count


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_audio_that_a_table_names_counts(kind, tmp_path):
    def planned(folder):
        tables = {f"{n}_csv": str(folder / f"{n}.{kind}") for n in ("train", "test")}
        data = {**tables, "valid_csv": tables["train_csv"]}
        return make(tmp_path / "out", (1,), KS=data)

    corpus, moved = tmp_path / "corpus", tmp_path / "moved"
    for folder in (corpus, moved):
        (folder / "wavs").mkdir(parents=True)
        for name in ("train", "test"):
            wav = folder / "wavs" / f"{name}.wav"
            wav.write_text("one")
            where = str(wav) if name == "test" else f"wavs/{name}.wav"
            text = f"id,wav,label\na,{where},yes\n"
            if kind == "json":
                text = json.dumps({"a": {"wav": where, "label": "yes", "more": [1]}})
            (folder / f"{name}.{kind}").write_text(text)
    [first] = planned(corpus)
    finish(first)
    assert planned(corpus)[0].is_done() and planned(moved)[0].is_done()
    for name in ("train", "test"):
        wav = corpus / "wavs" / f"{name}.wav"
        stat = os.stat(wav)
        wav.write_text("two")  # of the same size and time
        os.utime(wav, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        [again] = planned(corpus)
        assert not again.is_done() and again.folder != first.folder
        wav.write_text("one")
        assert planned(corpus)[0].is_done()


def test_data_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.wav").write_text("one")

    def hash_folder(folder, progressbar):
        raise PermissionError(13, "Permission denied", str(tmp_path / "corpus/a.wav"))

    monkeypatch.setattr(contents, "hash_folder", hash_folder)
    with pytest.raises(UserError, match="corpus/a.wav' cannot be read: Permission"):
        make(tmp_path / "out", KS={"data_folder": str(tmp_path / "corpus")})[0].folder


def test_what_the_benchmark_makes_is_known_by_its_place(tmp_path):
    data = {"data_folder": str(tmp_path / "toys" / "a")}
    before = make(tmp_path, KS=data)[0].folder
    (tmp_path / "toys" / "a").mkdir(parents=True)
    (tmp_path / "toys" / "a" / "x.wav").write_text("made")
    assert make(tmp_path, KS=data)[0].folder == before


@pytest.mark.parametrize(
    "module, counts",
    [
        ("s3prl_sb.lobes.upstreams.base", True),  # of the upstream
        ("s3prl_sb.dataio.audio", True),  # of a pipe that the recipe names
        ("s3prl_sb.lobes.heads.pooling", True),  # of its head
        ("s3prl_sb.cli", False),
        ("s3prl_sb.lobes.upstreams.pase", False),
    ],
)
def test_changed_code_is_another_configuration(module, counts, tmp_path, monkeypatch):
    from s3prl_sb.identity import code

    before, read = make(tmp_path)[0].folder, code._read

    def changed(file):
        found, imports = read(file)
        is_it = str(file).endswith(module.replace(".", "/") + ".py")
        return found + "x" * is_it, imports

    monkeypatch.setattr(code, "_read", changed)
    assert (make(tmp_path)[0].folder != before) is counts


def test_own_code_and_files_beside_a_card_count(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    card = tmp_path / "mine.yaml"
    card.write_text("mine: !new:my_upstream.Mine\n    tokenizer: tok.txt\n")
    (tmp_path / "my_upstream.py").write_text("import helper\n\nclass Mine: pass\n")
    (tmp_path / "helper.py").write_text("x = 0")
    folders = []
    for name, text in (
        ("tok.txt", "a"),
        ("tok.txt", "b"),
        ("helper.py", "x = 2"),
        ("helper.py", "x = 3"),
        ("my_upstream.py", "class Mine: pass"),
    ):
        (tmp_path / name).write_text(text)
        run = make(tmp_path / "out", upstreams=[str(card)])[0]
        folders.append(run.folder)
    assert len(set(folders)) == len(folders)


def test_runs_of_an_older_identity_are_said_and_left(tmp_path, caplog):
    run = make(tmp_path)[0]
    older = run.folder.parent / "1-01234567"
    older.mkdir(parents=True)
    stamp = {k: v for k, v in run.configuration.items() if k != "format"}
    (older / plan.STAMP).write_text(json.dumps(stamp))
    plan.jobs([run])
    assert "of an older identity, 1" in caplog.text and not run.is_done()
    assert older.is_dir()


def test_another_version_is_noted_and_changes_nothing(tmp_path, monkeypatch):
    run = make(tmp_path)[0]
    finish(run)
    about = json.loads((run.folder / plan.STAMP).read_text())["about"]
    assert about == {"upstream": "mel", "s3prl_sb": plan.s3prl_sb.__version__}
    monkeypatch.setattr(plan.s3prl_sb, "__version__", "99")
    again = make(tmp_path)[0]
    assert again.folder == run.folder and again.is_done()


def test_epochs_are_whole(tmp_path):
    message = "KS: total_steps 1000 is no multiple of steps_per_epoch 5000: choose both"
    with pytest.raises(ValueError, match=message):
        make(tmp_path, budget={"KS": {"total_steps": 1000}})
    make(tmp_path, budget={"KS": {"total_steps": 1000, "steps_per_epoch": 100}})


def test_two_upstreams_of_one_name(tmp_path):
    with pytest.raises(ValueError, match="are both called mel"):
        make(tmp_path, upstreams=["mel", "cards/mel.yaml"])


# ------------------------------------------------------------------------ the files
def written(tmp_path, text):
    path = tmp_path / "dirs.yaml"
    path.write_text(text)
    return str(path)


def test_data_of_some_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "KS: {data_folder: gsc}\nSID:\nPR: {data_folder: /x}\n")
    found, toys = data.read_data(path, tmp_path, ["KS", "SID"])
    assert found == {"KS": {"data_folder": str(tmp_path / "gsc")}} and not toys


def test_paths_start_at_the_file(tmp_path, monkeypatch):
    """Or, if there is nothing, at the current folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "files").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", "/home/me")
    for path in ("files/a.arpa", "files/both", "here/both", "here/c.txt"):
        (tmp_path / path).write_text("")
    text = (
        "ASR: {data_folder: ~/x, lm: a.arpa, lexicon: both, valid_split: both}\n"
        "PR: {lexicon: [a.arpa, c.txt], data_folder: none}\n"
    )
    expected = {
        "ASR": {
            "data_folder": "/home/me/x",
            "lm": f"{tmp_path}/files/a.arpa",
            "lexicon": f"{tmp_path}/files/both",
            "valid_split": "both",
        },
        "PR": {
            "lexicon": [f"{tmp_path}/files/a.arpa", f"{tmp_path}/here/c.txt"],
            "data_folder": f"{tmp_path}/files/none",
        },
    }
    path = written(tmp_path / "files", text)
    assert data.read_data(path, tmp_path, ["ASR", "PR"])[0] == expected
    budget = budgets.read_budget("../files/dirs.yaml")
    assert {task: budget[task] for task in expected} == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("KZ: {data_folder: x}", "dirs.yaml:1: there is no task 'KZ'. Did you mean KS"),
        ("KS: {datafolder: x}", "KS: there is no key 'datafolder'. Did you mean data_"),
        ("KS: somewhere", "KS: 'somewhere' are no keys of its recipe. Write KS: {dat"),
        ("KS: {upstream: mel}", "KS: 'upstream' is set by the command itself"),
        ("- KS", "it holds a list, not a dict. Write such as KS: {data_folder: DIR}"),
        ("KS: {", "dirs.yaml' is not keys of recipes by task: line 1: expected the"),
    ],
)
def test_data_that_is_wrong(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError) as error:
        data.read_data(path, tmp_path, ["KS"])
    assert message in str(error.value)


def test_no_such_data_file(tmp_path):
    with pytest.raises(ValueError, match="none.yaml' cannot be read: No such file"):
        data.read_data(tmp_path / "none.yaml", tmp_path, ["KS"])


def test_toys_for_all_tasks(tmp_path):
    from s3prl_sb.corpora import toys

    found, before = data.read_data("toy", tmp_path, tasks.tasks_of(SUPERB))
    assert set(found) == set(before) == set(tasks.tasks_of(SUPERB))
    assert before["ASR"] is before["PR"]  # one corpus, made once
    jobs = plan.jobs(make(tmp_path, **found), before)
    assert len({id(job) for job in jobs}) == len(jobs)
    made = [job for job in jobs if job.name.startswith("toy ")]
    assert {job.name[4:] for job in made} <= set(toys.TOYS) and jobs[0] in made


@pytest.mark.parametrize("budget", ("full", "mini"))
def test_budgets(budget, tmp_path):
    found = budgets.read_budget(budget)
    assert set(found) <= set(tasks.tasks_of(SUPERB))
    for keys in found.values():  # SpeechBrain would not notice before it ends
        if "total_steps" in keys:
            assert keys["total_steps"] % keys["steps_per_epoch"] == 0


def test_a_budget_of_ones_own(tmp_path):
    path = written(tmp_path, "all: {batch_size: 2}\nKS: {lr: 0.5, cache: off}\n")
    found = budgets.read_budget(path)
    assert found["KS"] == {"batch_size": 2, "lr": 0.5, "cache": "off"}
    assert found["SID"] == {"batch_size": 2} and found["QbE"] == {}
    with pytest.raises(ValueError, match="no budget 'mimi'. Did you mean mini"):
        budgets.read_budget("mimi")


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "all: {total_stepz: 5}",
            "my.yaml:1: all: .*'total_stepz'. Did you mean total",
        ),
        ("all: {seed: 7}", "my.yaml:1: all: 'seed' is set by the command itself"),
        ("KS: 5", "my.yaml:1: KS: 5 is no mapping"),
        ("all: [1]", r"my.yaml:1: all: \[1\] is no mapping"),
        (
            "KS: {total_steps: many}",
            "my.yaml:1: KS: total_steps is a whole number from 1 on, .* not 'many'",
        ),
        ("all: {freeze: 1}", "freeze is True or False, not 1"),
        ("SID: {batch_size: True}", "SID: batch_size is a whole number .* not True"),
        (
            "KS: {total_steps: 0}",
            "KS: total_steps is a whole number from 1 on, .* not 0",
        ),
        ("all: {steps_per_epoch: 2.5}", "steps_per_epoch is a whole number .* not 2.5"),
        ("KS: {batch_size: -4}", "KS: batch_size is a whole number .* not -4"),
        ("PR: {grad_accumulation_factor: 0}", "grad_accumulation_factor is a whole"),
        ("ER: {fold: 1}", "ER: 'fold' is set by the command itself, .* all folds"),
        ("KS: {head: {hidden_sizee: 3}}", "'head.hidden_sizee'. Did you mean head.hid"),
        (
            "KS: {train_dataloader_opts: {num_worker: 3}}",
            "'train_dataloader_opts.num_worker'. Did you mean train_dataloader_opts.nu",
        ),
        ("KS: {lr: 1}\nKS: {lr: 2}", "my.yaml' .*: line 2: found duplicate key"),
    ],
)
def test_wrong_budgets(text, message, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        budgets.read_budget(path)


def test_arguments_of_a_class_that_the_recipe_does_not_name(tmp_path):
    path = written(tmp_path, "ASR: {head: {hidden_size: 8, bidirectional: False}}")
    with pytest.raises(ValueError, match="no key 'head.bidirectional'"):
        budgets.read_budget(path)
    path = written(tmp_path, "KS: {opt_class: {betas: [0.9, 0.99]}}")
    assert budgets.read_budget(path)["KS"]["opt_class"] == {"betas": [0.9, 0.99]}


def test_arguments(tmp_path):
    parser = argparse.ArgumentParser()
    superb.add_arguments(parser)
    for line, message in (
        ("", "--upstream is missing"),
        ("--upstream mel", "--data is missing"),
        ("--upstream mel --data toy", "--output is missing"),
        (f"--upstream mel --data toy --output {tmp_path} --seeds 0", "1 or more"),
        (f"--upstream mel --data toy --output {tmp_path} --jobs 0", "--jobs 0: give 1"),
        *(
            (
                f"--upstream mel --data toy --output {tmp_path} --lr_search {rates}",
                f"--lr_search {rates}: give different positive numbers",
            )
            for rates in ("nan", "0", "-0.1", "0.1 0.1", "inf")
        ),
        (f"--table {tmp_path}", "no benchmark has run here"),
    ):
        with pytest.raises(ValueError, match=message):
            command.main(parser.parse_args(line.split()))
    assert parser.parse_args(["--lr_search"]).lr_search == []
    assert parser.parse_args(["--lr_search", "0.1", "1e-3"]).lr_search == [0.1, 0.001]


# ------------------------------------------------------------------------- the jobs
def job(folder, name, code="", done=True, **kwargs):
    """A job that notes when it starts and ends."""
    mark = folder / f"{name}.done"
    code = (
        f"import time; open({str(folder / 'log')!r}, 'a').write('+{name} ');"
        f"{code or 'time.sleep(0.2)'};"
        f"open({str(folder / 'log')!r}, 'a').write('-{name} ');"
        + (f"open({str(mark)!r}, 'w')" if done else "")
    )
    return Job(
        name=name,
        folder=folder / name,
        command=lambda: [sys.executable, "-S", "-c", code],
        is_done=mark.is_file,
        **kwargs,
    )


def order(folder):
    return (folder / "log").read_text().split()


def test_jobs_after_others(tmp_path):
    a = job(tmp_path, "a")
    b = job(tmp_path, "b", after=[a])
    Local(2).run([b, a])
    assert order(tmp_path) == ["+a", "-a", "+b", "-b"]
    assert a.state == b.state == "done"
    Local(2).run([b, a])
    assert len(order(tmp_path)) == 4  # nothing was left to do


def test_jobs_in_parallel(tmp_path):
    Local(2).run([job(tmp_path, name, "time.sleep(1)") for name in "ab"])
    assert {*order(tmp_path)[:2]} == {"+a", "+b"}


def test_one_of_a_group_until_it_has_shared(tmp_path):
    shared = []
    jobs = [
        job(tmp_path, name, group="g", has_shared=lambda: bool(shared)) for name in "ab"
    ]
    Local(2).run(jobs)
    assert order(tmp_path) == ["+a", "-a", "+b", "-b"]


def test_a_failure_does_not_stop_the_others(tmp_path, capsys):
    bad = job(tmp_path, "bad", "print('oh no'); 1 / 0")
    lost = job(tmp_path, "lost", after=[bad])
    good = job(tmp_path, "good")
    Local(1).run([bad, lost, good])
    assert [j.state for j in (bad, lost, good)] == ["failed", "skipped", "done"]
    assert "oh no" in bad.error and "ZeroDivisionError" in bad.error
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said and str(tmp_path / "bad/job.log") in said
    assert "needs bad, which has failed" in said


def test_ended_without_results_is_failed(tmp_path):
    quiet = job(tmp_path, "quiet", done=False)
    Local(1).run([quiet])
    assert quiet.state == "failed"


def test_killed_by_a_signal(tmp_path, capsys):
    killed = job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    Local(1).run([killed])
    said = capsys.readouterr().err
    assert "failed   killed (killed by signal 9, perhaps out of memory, " in said
    assert reason(-11) == "killed by signal 11" and reason(2) == "exit status 2"


def test_somebody_is_told_whenever_jobs_have_ended(tmp_path):
    states = []
    jobs = [job(tmp_path, "a"), job(tmp_path, "b", done=False)]
    Local(1).run(jobs, lambda: states.append([job.state for job in jobs]))
    assert states == [["done", "waiting"], ["done", "failed"]]


@pytest.fixture
def guarded(tmp_path):
    """``guarded(code)``: Python under a guard, in one folder."""
    started = []

    def guarded(code):
        line = [*guard.COMMAND, str(tmp_path / "lock")]
        line += [sys.executable, "-S", "-c", code]
        started.append(subprocess.Popen(line, stdin=subprocess.PIPE))
        return started[-1]

    yield guarded
    for process in started:
        process.stdin.close()
        process.wait(10)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_a_command_ends_with_its_guard(guarded, tmp_path):
    path = tmp_path / "pid"
    code = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid()))"
    process = guarded(f"{code}; time.sleep(60)")
    until(lambda: path.is_file() and path.read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stat = f"/proc/{path.read_text()}/stat"  # gone, or not yet fetched by init
    until(lambda: not os.path.exists(stat) or " Z " in open(stat).read())


def test_no_two_commands_work_in_one_folder(guarded, tmp_path):
    log = str(tmp_path / "log")
    code = f"import time; log = open({log!r}, 'a', 1); log.write('+'); log.flush()"
    code += "; time.sleep(0.5); log.write('-')"
    processes = [guarded(code) for _ in range(2)]
    assert [process.wait(20) for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "+-+-"


def test_each_on_a_gpu(tmp_path):
    code = f"import os; open({str(tmp_path)!r} + '/' + os.environ['CUDA_VISIBLE_DEVICES'], 'w'); time.sleep(1)"  # fmt: skip  # noqa: E501
    Local(2, devices=["3", "5"]).run([job(tmp_path, name, code) for name in "ab"])
    assert (tmp_path / "3").is_file() and (tmp_path / "5").is_file()


def test_an_interrupt_ends_the_jobs(tmp_path, monkeypatch):
    long = job(tmp_path, "long", "time.sleep(60)")
    runner = Local(1)

    def interrupt(waiting):
        if (tmp_path / "log").is_file():
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(runner, "_collect", interrupt)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runner.run([long])
    assert time.monotonic() - began < 30 and long.state == "waiting"
    assert order(tmp_path) == ["+long"]


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("--- start\n\n 10%\r 50%\r100% done\n" + "x\n" * 3)
    assert last_lines(log, 2).split() == ["|", "x", "|", "x"]
    assert "| 100% done" in last_lines(log) and "---" not in last_lines(log)


@pytest.mark.parametrize(
    "keys, is_another",
    [
        ({"cache_folder": "/tmp"}, False),
        ({"cache_processes": 2, "ckpt_interval_steps": 3}, False),
        ({"train_dataloader_opts": {"num_workers": 0}}, False),
        ({"valid_dataloader_opts": {"num_workers": 0}}, False),
        ({"train_dataloader_opts": {"num_workers": 0, "batch_size": 3}}, True),
        ({"total_steps": 10000}, True),
        ({"test_csv": "/x.csv"}, True),
        ({"upstream_model": {"freeze": False}}, True),
    ],
)
def test_another_run_by_what_the_schema_says(keys, is_another, tmp_path):
    data = {"KS": {"data_folder": "/nowhere"}}
    (plain,) = plan.make(["mel"], ["KS"], data, {}, tmp_path)
    (other,) = plan.make(["mel"], ["KS"], data, {"KS": keys}, tmp_path)
    assert (plain.folder != other.folder) == is_another
    by = [
        configurations.RowConfiguration(data, {"KS": each}, output=tmp_path).keys("KS")
        for each in ({}, keys)
    ]
    assert (by[0] != by[1]) == is_another


@pytest.mark.parametrize(
    "keys, words",
    [
        ("{cache: frames, freeze: no}", "KS: cache: frames is impossible"),
        ("{batch_size: null}", "KS: batch_size is a whole number .* without batch_sec"),
        ("{featurizer: {normalize: ja}}", "KS: featurizer.normalize is True or False"),
        (
            "{train_dataloader_opts: {x: 1}}",
            "there is no key 'train_dataloader_opts.x'",
        ),
    ],
)
def test_budgets_are_refused_before_anything_runs(keys, words, tmp_path):
    (tmp_path / "budget.yaml").write_text(f"KS: {keys}")
    with pytest.raises(ValueError, match=words):
        budget = budgets.read_budget(str(tmp_path / "budget.yaml"))
        plan.make(["mel"], ["KS"], {"KS": {}}, budget, tmp_path)


def test_what_arguments_of_a_budget_name_is_known_by_content(tmp_path):
    budget, file = tmp_path / "budget.yaml", tmp_path / "mine.pt"
    budget.write_text(
        "KS: {upstream_model: {source: mine.pt}, featurizer: {normalize: off}}"
    )
    folders = []
    for content in ("a", "b"):
        file.write_text(content)
        (run,) = plan.make(
            ["mel"],
            ["KS"],
            {"KS": {}},
            budgets.read_budget(str(budget)),
            tmp_path / "out",
        )
        assert run.overrides["upstream_model"]["source"] == str(file)
        assert run.overrides["featurizer"] == {"normalize": False}
        folders.append(run.folder)
    assert folders[0] != folders[1]
