"""Suites: those of this package, and a user's own; variants, equal names, published."""

import argparse
import json
import re

import pytest

from s3prl_sb import cli, resources
from s3prl_sb.benchmark import (
    budgets,
    command,
    comparability,
    configurations,
    data,
    grid,
    keys,
    listing,
    own_suites,
    plan,
    published,
    row_names,
    table,
    variations,
)
from s3prl_sb.commands import completion
from s3prl_sb.corpora.toys import TOYS
from s3prl_sb.runs import suites
from s3prl_sb.runs.suite_tasks import (
    find_tasks,
    is_known,
    metrics_of,
    task_of,
    tasks_of,
)
from s3prl_sb.startup.protocol import flat

#: Names of extras in setup.py.
SETUP = (resources.folder("hparams").parent / "setup.py").read_text("utf-8")
EXTRAS = re.findall(r'^    "([\w-]+)": \[', SETUP, re.M)
#: Two tasks of one recipe, one of a recipe with variants, one that trains nothing.
MINE = """
title: Mine
short: my
tasks:
    KS:
        recipe: SUPERB/KS
        keys: {lr: 0.01, head: {encoder_size: 8}}
        metrics: [{key: accuracy, title: Acc, higher: True}]
        toy: {corpus: speech_commands, data_folder: "{folder}"}
        utterances: {train: 100, test: 20}
    noisy:
        recipe: SUPERB/KS
        keys: {noise: {snr: [0, 15]}}
        metrics: [{key: balanced_accuracy, title: Recall, higher: True}]
    VC:
        recipe: SUPERB/VC/vcc2016
        metrics: [{key: mcd, title: MCD, higher: False, scale: 1, unit: dB}]
    search:
        recipe: SUPERB/QbE
        metrics: [{key: mtwv, title: MTWV, higher: True, scale: 1, unit: ""}]
budgets:
    tiny: {all: {total_steps: 4, steps_per_epoch: 2}, KS: {lr: 0.1}}
    vcc2020: {all: {variant: train}, VC: {vocoder_iterations: 2}}
published:
    - source: https://example.org
      columns: [KS.accuracy, noisy]
      numbers: {fbank: [90, 80]}
      models: {Ear: [null, 99]}
    - budget: tiny
      columns: [KS]
      numbers: {fbank: [70]}
      models: {Ear: [60]}
      remarks: {fbank: {all: of few steps}}
"""
STEPS = {"total_steps": 4, "steps_per_epoch": 2}
KS, NOISY, VC, SEARCH = "mine/KS", "mine/noisy", "mine/VC", "mine/search"


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """No suite of another test is known."""
    monkeypatch.setattr(suites, "_own", {})
    cached = suites.suite, metrics_of
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace("head: {encoder_size: 8}", "batch_size: 8"))
    suites.add(path)
    return path


# ------------------------------------------------------------ those of this package
@pytest.mark.parametrize("name", suites.names())
def test_a_suite_of_this_package(name, tmp_path):
    suite = suites.suite(name)
    assert suite.about and suite.paper.startswith("https://")
    assert suites.names_in("tasks", name) == [t.name for t in suite.tasks.values()]
    assert suites.names_in("budgets", name) == list(suite.budgets)
    ids = list(suite.tasks)
    found, before = data.read_data("toy", tmp_path, ids)
    assert set(found) == {i for i, task in suite.tasks.items() if task.toy}
    for job in before.values():
        assert job.name.removeprefix("toy ") in TOYS
    for budget in [budgets.FULL, *budgets.names_of([name])]:
        chosen = budgets.read_budget(budget, {}, ids)
        for task in ids:
            variant = keys.variant_of(chosen.get(task))
            together = {**keys.settings(task, variant), **chosen.get(task, {})}
            keys.check_combination(task, together)
        public = published.read([name], budget)
        assert set(public) <= set(completion.upstreams()), "models without a card"
    assert not set(published.models([name])) & set(completion.upstreams())
    for task_id, task in suite.tasks.items():
        assert len(task.parts) < 2 and set(task.parts) <= set(keys.schema(task_id))
        assert set(task.needs) <= set(EXTRAS), task_id
        assert len({metric.key for metric in task.metrics}) == len(task.metrics)
    text = listing.text([name])
    assert suite.title in text and max(map(len, text.splitlines())) <= 88


def test_metrics_of_recipes(mine):
    assert [metric.key for metric in metrics_of("SUPERB/SF")] == [
        "slot_type_f1",
        "slot_value_cer",
    ]
    assert metrics_of("SUPERB/SE/stft2") == task_of("SE").metrics
    assert not metrics_of("nowhere") and not metrics_of(None)


def test_a_recipe_of_several_metrics_has_none(tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text(
        MINE.partition("budgets:")[0]
        .replace("SUPERB/KS", "SNIPS/intent")
        .replace("head: {encoder_size: 8}", "batch_size: 8")
    )
    suites.add(path)
    assert not metrics_of("SNIPS/intent")
    path.write_text(path.read_text().replace("balanced_accuracy", "accuracy"))
    path.write_text(path.read_text().replace("Recall", "Acc"))
    suites.add(path)
    metrics_of.cache_clear()
    assert [metric.key for metric in metrics_of("SNIPS/intent")] == ["accuracy"]


# ----------------------------------------------------------------------- one's own
@pytest.mark.parametrize(
    "change, message",
    [
        (("title: Mine\n", ""), "mine.yaml: title is missing. See docs/suites.md"),
        (("short: my", "shorts: my"), "no key 'shorts'. Did you mean short"),
        (("short: my", "short: [my]"), "short is of another kind"),
        (("    noisy:", "    no.isy:"), "a task's name has no spaces, dots"),
        (("        recipe: SUPERB/QbE\n", ""), "search: recipe is missing"),
        (("recipe: SUPERB/QbE", "recipes: SUPERB/QbE"), "no key 'recipes'. Did you m"),
        (("keys: {noise", "keys: noise  # {"), "noisy: keys is a mapping"),
        (("[{key: mtwv, title: MTWV, higher: True", "[{key: mtwv"), "metrics is a li"),
        (("metrics: [{key: mtwv", "metrics: []  # ["), "metrics is a list such as"),
        (("title: Mine", "title: {"), "mine.yaml' is not a suite: line"),
    ],
)
def test_a_suite_that_is_wrong(change, message, tmp_path):
    path = tmp_path / "mine.yaml"
    assert change[0] in MINE
    path.write_text(MINE.replace(*change))
    with pytest.raises(ValueError, match="mine") as error:
        suites.find(str(path))
    assert message in " ".join(str(error.value).split())
    assert "mine" not in suites.names()


@pytest.mark.parametrize(
    "change, message",
    [
        (("SUPERB/QbE", "SUPERB/QBD"), "search: there is no recipe 'SUPERB/QBD'. Did"),
        (("    search:", "    all:"), "all: this name means all tasks"),
        (("    search:", "    My:"), "My: this name means all tasks"),
        (("    noisy:", "    ks:"), "KS: another task has this name"),
        (("short: my", "short: all"), "short: 'all' means other tasks"),
        (("short: my", "short: slue"), "short: 'slue' means other tasks"),
        (("    tiny:", "    full:"), "budgets: full is the protocol"),
        (("    vcc2020: {", "    vcc2020: 3 # {"), "vcc2020: write TASK: {total_st"),
        (("corpus: speech_commands,", ""), "toy: corpus is missing"),
        (("{train: 100,", "{train: many,"), "utterances: its values are of another"),
        (("title: Acc", "title: 3"), "metrics is a list such as .* (title is a text)"),
        (("higher: False", "higher: maybe"), "(higher is True or False, digits is a"),
        (("      columns: [KS]\n", ""), "published 2: write columns: [TASK"),
        (("[90, 80]", "90"), "published 1: numbers: fbank is no list"),
        (("[null, 99]", "[null, 99x]"), "Ear: noisy: '99x' is no number"),
        (("{fbank: {all: of", "{fbank: {all: x}} # {"), ""),
        (("{fbank: {all: of few steps}}", "{fbank: few}"), "fbank is no mapping"),
    ],
)
def test_what_tables_would_find_late_is_found_at_once(change, message, tmp_path):
    path = tmp_path / "mine.yaml"
    assert change[0] in MINE
    path.write_text(MINE.replace(*change))
    if not message:
        assert own_suites.find([str(path)]) == ["mine"]
        return
    with pytest.raises(ValueError) as error:
        own_suites.find([str(path)])
    start, _, end = message.partition(".*")
    said = " ".join(str(error.value).split())
    assert str(path) in said and start in said and end in said


@pytest.mark.parametrize("name", ["all", "SG", "Superb-SG", "HEAR", "my suite", "a.b"])
def test_names_that_no_suite_of_ones_own_has(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(MINE)
    with pytest.raises(ValueError, match="rename the file"):
        own_suites.find([str(path)])


def test_two_files_of_one_name(mine, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/mine.yaml").write_text(mine.read_text())
    assert own_suites.find([str(mine), str(mine)]) == ["mine"]
    with pytest.raises(ValueError, match="two suites have one name: rename a file"):
        own_suites.find([str(mine), str(tmp_path / "more/mine.yaml")])


def test_a_recipe_that_is_not_there(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace("SUPERB/QbE", "SUPERB/None"))
    suites.add(path)
    with pytest.raises(ValueError, match="no recipe for mine/search in this"):
        keys.schema(SEARCH)


def test_names_of_suites(mine, tmp_path):
    assert suites.find("SUPERB-SG") == "superb_sg" and suites.find("mine") == "mine"
    with pytest.raises(ValueError, match="no suite 'super'. Did you mean superb"):
        suites.find("super")
    (tmp_path / "superb.yaml").write_text(MINE)
    with pytest.raises(ValueError, match="a suite has this name already: rename"):
        suites.add(tmp_path / "superb.yaml")
    assert is_known(KS) and not is_known("mine/SID") and not is_known("other/KS")


def test_names_of_tasks(mine):
    assert find_tasks(["all"], ["mine"]) == [KS, NOISY, VC, SEARCH]
    assert find_tasks(["ks", "vc"], ["superb", "mine"]) == ["KS", "VC"]  # plain ids
    assert find_tasks(["noisy"], ["superb", "mine"]) == [NOISY]
    assert find_tasks(["mine/ks,my"], ["mine", "superb"]) == [KS, NOISY, VC, SEARCH]
    with pytest.raises(ValueError, match="no task 'nosy'. Did you mean noisy"):
        find_tasks(["nosy"], ["mine"])


def test_data_of_equal_names(mine, tmp_path):
    both, file = tasks_of(["superb", "mine"]), tmp_path / "data.yaml"
    file.write_text("mine/KS: {data_folder: a}\nSID: {data_folder: b}\n")
    assert set(data.read_data(file, tmp_path, both)[0]) == {KS, "SID"}
    assert set(data.read_data(file, tmp_path, tasks_of(["mine"]))[0]) == {KS}
    file.write_text("KS: {data_folder: a}\n")
    assert set(data.read_data(file, tmp_path, tasks_of(["mine"]))[0]) == {KS}
    (tmp_path / "other.yaml").write_text(mine.read_text())
    suites.add(tmp_path / "other.yaml")
    both = tasks_of(["mine", "other"])
    with pytest.raises(ValueError, match=":1: 'KS' may be mine/KS or other/KS: write"):
        data.read_data(file, tmp_path, both)
    assert find_tasks(["KS"], ["mine", "other"]) == [KS, "other/KS"]
    file.write_text("noisy: toy\n")
    with pytest.raises(ValueError, match="mine/noisy has no toy corpus: give a data"):
        data.read_data(file, tmp_path, tasks_of(["mine"]))


def test_keys_of_the_suite_are_below_all_others(mine, tmp_path):
    tasks = tasks_of(["mine"])
    assert budgets.read_budget("full", tasks=tasks) == {
        KS: {"lr": 0.01, "batch_size": 8},
        NOISY: {"noise": {"snr": [0, 15]}},
    }
    tiny = budgets.read_budget("tiny", tasks=tasks)
    assert tiny[KS] == {"lr": 0.1, "batch_size": 8, **STEPS}
    assert tiny[NOISY] == {"noise": {"snr": [0, 15]}, **STEPS}
    assert tiny[SEARCH] == {}
    with pytest.raises(ValueError, match="no budget 'tinny'. Did you mean tiny"):
        budgets.read_budget("tinny", tasks=tasks)
    with pytest.raises(ValueError, match="suite superb has no budget 'tiny', but full"):
        budgets.read_budget("tiny", tasks=[*tasks, "KS"])


def make(tmp_path, budget="full", tasks=(KS, NOISY), **given):
    places = {task: {"data_folder": "/data"} for task in tasks}
    chosen = budgets.read_budget(budget, {}, tasks_of(["mine"]))
    return plan.make(["fbank"], list(tasks), places, chosen, tmp_path, **given)


def test_runs_of_one_recipe_are_known_by_their_task(mine, tmp_path):
    one, other = make(tmp_path)
    assert one.folder.parent == tmp_path / "fbank/mine/KS"
    assert other.folder.parent == tmp_path / "fbank/mine/noisy"
    words = list(map(str, other.command()))
    assert words[1].endswith("recipes/SUPERB/KS/train.py")
    assert '--noise={"snr": [0, 15]}' in words
    first, second = plan.jobs([one, other])
    assert first.name == "fbank mine/KS 1986" and first.group == second.group
    [same] = plan.make(["fbank"], ["KS"], {"KS": one.overrides}, {}, tmp_path)
    assert same.folder.parent == tmp_path / "fbank/KS" and same.folder != one.folder


# ----------------------------------------------------------------------- a variant
def test_a_variant_is_another_yaml(mine, tmp_path):
    [run] = make(tmp_path, tasks=[VC])
    assert str(run.command()[2]).endswith("SUPERB/VC/hparams/vcc2016.yaml")
    refused = {}
    chosen = budgets.read_budget("vcc2020", refused, tasks_of(["mine"]))
    assert chosen[VC] == {"variant": "train", "vocoder_iterations": 2}
    assert chosen[KS]["variant"] is None and not refused  # each has a train.yaml
    [other] = make(tmp_path, "vcc2020", [VC])
    words = list(map(str, other.command()))
    assert words[2].endswith("SUPERB/VC/hparams/train.yaml")
    assert not any("--variant" in word for word in words)
    assert other.folder != run.folder
    [same] = make(tmp_path, "vcc2020", [KS])
    assert same.folder == make(tmp_path, tasks=[KS])[0].folder


def test_a_variant_for_all_tasks_that_have_it(mine, tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    tasks = tasks_of(["mine"])
    of_suite = budgets.read_budget("full", tasks=tasks)

    def read(*words):
        arguments = parser.parse_args(["mine", "--set", *words])
        [found] = variations.read(arguments, of_suite, {}, tasks)
        return found

    found = read("variant=any_to_any", "lr=0.5")
    assert found.changes[VC] == {"variant": "any_to_any", "lr": 0.5}
    assert found.refused[KS] == "its recipe has no variant 'any_to_any'"
    assert read("VC.variant=train").changes[VC] == {"variant": "train"}
    with pytest.raises(ValueError, match="no variant 'any_to_one'. Did you mean any_t"):
        read("variant=any_to_one")
    with pytest.raises(ValueError, match="mine/KS: there is no variant 'knn'"):
        read("KS.variant=knn")
    row = configurations.RowConfiguration({VC: {}}, of_suite, changes=found.changes)
    assert row.name() == ["variant=any_to_any, lr=0.5"]


def test_keys_of_the_suite_that_a_variant_lacks(mine, monkeypatch):
    monkeypatch.setattr(keys, "schema", lambda task, variant: ["lr"])
    chosen = {"variant": "small", "batch_size": 8, "lr": 1}
    assert keys.without_lacking(KS, chosen) == {"variant": "small", "lr": 1}
    assert keys.without_lacking(NOISY, chosen) == chosen  # not of its suite
    assert keys.without_lacking(KS, {"batch_size": 8}) == {"batch_size": 8}


# ----------------------------------------------------------------------- the table
def finish(run, accuracy, **more):
    run.command()
    settings = {**run.overrides, "data_folder": "/data"}
    results = {
        "metrics": {"accuracy": accuracy, "balanced_accuracy": accuracy},
        "seconds": 1.0,
        "valid": {},
        "settings": settings,
        "utterances": {"train": [50, 50], "test": 20},
        "protocol": {"followed": None, "settings": flat(run.overrides), "corpus": None},
        **more,
    }
    results["protocol"] |= {"data": None, "differs": []}
    (run.folder / "results.json").write_text(json.dumps(results))


def row_of(task, budget="full", changes=None):
    chosen = budgets.read_budget(budget, {}, tasks_of(["mine"]))
    return configurations.RowConfiguration(
        {task: {}}, chosen, budget_name=budget, changes=changes or {}
    )


def test_published_numbers_of_a_suite(mine, tmp_path):
    runs = make(tmp_path)
    for run in runs:
        finish(run, 0.5)
    for run in runs:
        run.overrides.pop("data_folder")
    found = table.gather(runs, [KS, NOISY])
    [block] = grid.blocks(found)
    assert block[0] == ["Mine", "KS Acc ↑", "noisy Recall ↑"]
    [block] = grid.blocks(found, published=True)
    assert block[-2] == ["Ear (published)", "", "99.00"]
    assert block[-1] == ["Ear, tiny (published)", "~60.00", ""]
    assert published.read(["mine"])["fbank"][KS]["accuracy"].value == 90
    assert published.read(["mine"], "tiny")["fbank"][KS]["accuracy"].value == 70
    assert published.read(["mine"], "tiny")["fbank"][KS]["accuracy"].source is None


def test_what_compares_with_published_numbers(mine, tmp_path):
    def reasons(task, budget="full", changes=None, **more):
        [run] = make(tmp_path, budget, [task])
        run.overrides.update((changes or {}).get(task, {}))
        run.overrides.pop("data_folder")
        finish(run, 0.5, **more)
        entry = {"folder": str(run.folder), "state": "done"}
        entry["protocol"] = json.loads((run.folder / "results.json").read_text())[
            "protocol"
        ]
        row = row_of(task, budget, changes)
        return comparability.reasons(task, [entry], row)

    assert reasons(KS) == []  # the keys of the suite are its protocol
    assert reasons(KS, "tiny") == []  # that a table is published for
    assert reasons(KS, utterances={"train": 9, "test": 20}) == ["train 9 of 100"]
    assert reasons(KS, changes={KS: {"lr": 5}}) == ["lr 5"]
    assert reasons(NOISY) == [comparability.NO_SIZES]
    changed = configurations.RowConfiguration({VC: {}}, {VC: {"variant": "train"}})
    assert comparability.reasons(VC, [], changed) == ["variant train"]


def test_rows_of_different_suites_may_have_one_name(mine):
    ours = configurations.RowConfiguration({KS: {"data_folder": "a"}}, {})
    superb = configurations.RowConfiguration({"KS": {"data_folder": "b"}}, {})
    other = configurations.RowConfiguration({"KS": {"data_folder": "c"}}, {})
    assert row_names.titles([ours, superb]) == ["", ""]
    names = row_names.titles([ours, superb, other])
    assert names[0] == "" and len(set(names[1:])) == 2


@pytest.mark.parametrize(
    "change, message",
    [
        (("KS.accuracy", "SK.accuracy"), "published 1: there is no task 'SK'. Did you"),
        (("KS.accuracy", "KS.acuracy"), "no metric 'acuracy'. Did you mean accuracy"),
        (("fbank: [90, 80]", "fbank: [90]"), "fbank has 1 of 2 numbers"),
        (("source:", "sources:"), "no key 'sources'. Did you mean source"),
    ],
)
def test_published_numbers_that_are_wrong(change, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace(*change))
    suites.add(path)
    with pytest.raises(ValueError, match=message):
        published.read(["mine"])


# --------------------------------------------------------------------- the command
def test_what_there_is_is_said(mine, capsys):
    assert cli.main(["bench", "--list"]) == 0
    said = capsys.readouterr().out
    assert "superb_sg: SUPERB-SG" in said and "mine: Mine" in said
    assert "    budgets: full, tiny, vcc2020" in said
    assert cli.main(["bench", "mine", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--lr_search" in said and "search (SUPERB/QbE)" in said
    assert cli.main(["bench", "--help"]) == 0
    assert "suites: superb, superb_sg" in capsys.readouterr().out


def test_completion(mine):
    def offered(*words):
        return completion.candidates(list(words), cli.parser())

    assert offered("bench", "superb_") == ["superb_sg"]
    assert "superb" not in offered("bench", "superb", "")
    assert offered("bench", "superb", "--tasks", "S") == ["SID", "SF", "SD"]
    assert offered("superb", "--budget", "") == ["mini", "full"]
    assert offered("bench", str(mine), "--budget", "t") == ["tiny"]
    tasks = offered("bench", str(mine), "--tasks", "")
    assert tasks == ["KS", "noisy", "VC", "search", "all"]
    assert offered("bench", "superb", "--upstream", "fbank_") == ["fbank_no_cmvn"]


@pytest.mark.parametrize(
    "line, message",
    [
        ("", "no suite is named. There are: superb, superb_sg"),
        ("sperb", "no suite 'sperb'. Did you mean superb"),
        ("none.yaml", "none.yaml' cannot be read"),
        ("superb", "--upstream is missing"),
        ("superb --upstream mel --data toy --output OUT --tasks KZ", "no task 'KZ'"),
        ("superb --upstream mel --data toy --output OUT --budget x", "no budget 'x'"),
    ],
)
def test_commands_that_are_wrong(line, message, tmp_path, capsys):
    words = line.replace("OUT", str(tmp_path / "out")).split()
    assert cli.main(["bench", *words]) == 1
    assert message in capsys.readouterr().err


def test_nothing_is_parsed_before_it_is_needed(monkeypatch):
    monkeypatch.setattr(suites, "suite", None)
    cli.parser()
    completion.candidates(["superb", "--tasks", ""], cli.parser())
    assert (resources.folder("hparams") / "suites" / "superb.yaml").is_file()
