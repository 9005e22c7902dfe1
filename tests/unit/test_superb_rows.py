"""Rows of the benchmark's table: one configuration each, whatever was run before."""

import argparse
import json
import shutil

import pytest

from s3prl_sb.benchmark import (
    command,
    layout,
    notes,
    plan,
    remembered,
    requirements,
    run_entries,
    superb,
    table,
)
from s3prl_sb.engines.local import Local

FULL = {"followed": True, "settings": {}, "data": None, "differs": []}
METRICS = {"accuracy": 0.5, "eer": 0.1, "mtwv": 0.2}


def outcome(stamp, folder):
    """Results of a stub run, whose protocol follows from its keys."""
    keys, rates = stamp["overrides"], stamp["lr_search"]
    differs = [f"{k} {v}" for k, v in keys.items() if k not in ("data_folder", "lr")]
    data = "toy data" if "toys" in str(keys.get("data_folder")) else None
    differs = ([data] if data else []) + differs
    protocol = {**FULL, "followed": not differs, "data": data, "differs": differs}
    lr = rates[1] if rates else keys.get("lr", 1e-4)
    if rates:
        (folder / plan.SEARCH).write_text(json.dumps({"best": lr}))
    accuracy = keys.get("total_steps", 50) / 100 + stamp["seed"] / 1000
    return {
        "metrics": {**METRICS, "accuracy": accuracy},
        "valid": {},
        "seconds": 1.0,
        "lr": lr,
        "protocol": protocol,
    }


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """The command, whose runs end at once; gives the table of all, and the print."""
    (tmp_path / "data.yaml").write_text(
        "\n".join(f"{t}: {{data_folder: /{t}}}" for t in ("KS", "SID", "QbE"))
    )

    def run(self, jobs, ended=None):
        for job in jobs:
            if job.is_done():
                continue
            if job.name.startswith("toy "):
                continue
            job.command()
            stamp, _ = plan.read_stamp(job.folder)
            text = json.dumps(outcome(stamp, job.folder))
            (job.folder / "results.json").write_text(text)

    monkeypatch.setattr(Local, "run", run)
    monkeypatch.setattr(requirements, "check", lambda runs, toys: None)  # no corpora
    parser = argparse.ArgumentParser()
    superb.add_arguments(parser)

    def start(line):
        line = (
            f"--output {tmp_path}/out --upstream mel --data {tmp_path}/data.yaml "
            + (line.format(tmp_path))
        )
        capsys.readouterr()
        assert command.main(parser.parse_args(line.split())) == 0
        return table.read(tmp_path / "out"), capsys.readouterr().out

    return start


def shown(found):
    """Row -> task -> (accuracy in per cent of the first seed, seeds)."""
    return {
        row["upstream"]: {
            task: [
                (round(100 * run["metrics"]["accuracy"]), run["seed"])
                for run in sorted(cell["runs"], key=lambda run: run["seed"])
            ]
            for task, cell in row["cells"].items()
        }
        for row in found["rows"]
    }


def test_tasks_of_two_commands_are_one_row(bench):
    bench("--tasks KS --seed 0")
    found, printed = bench("--tasks SID --seed 0")
    assert shown(found) == {"mel": {"SID": [(50, 0)], "KS": [(50, 0)]}}
    assert "KS Acc" not in printed  # what is printed is what was asked for


def test_a_short_run_never_stands_in_the_row_of_a_full_one(bench, tmp_path):
    (tmp_path / "short.yaml").write_text(
        "all: {total_steps: 20, steps_per_epoch: 20}\n"
    )
    bench("--tasks KS SID --seed 0")
    found, _ = bench("--tasks KS --seed 0 --budget {}/short.yaml")
    assert shown(found) == {
        "mel · total_steps=20, steps_per_epoch=20": {"KS": [(20, 0)]},
        "mel": {"KS": [(50, 0)], "SID": [(50, 0)]},
    }
    # Searched besides, and of one task: neither fills up the others.
    found, _ = bench("--tasks SID --seed 0 --lr_search 0.1 0.01")
    assert list(shown(found)) == [
        "mel · lr searched",
        "mel · total_steps=20, steps_per_epoch=20",
        "mel",
    ]
    assert shown(found)["mel · lr searched"] == {"SID": [(50, 0)]}


def test_what_trains_nothing_is_in_every_row(bench, tmp_path):
    (tmp_path / "short.yaml").write_text("KS: {total_steps: 20, steps_per_epoch: 20}")
    bench("--tasks KS QbE --seed 0")
    bench("--tasks KS --seed 0 --lr_search 0.1 0.01")
    found, _ = bench("--tasks KS --seed 0 --budget {}/short.yaml")
    rows = shown(found)
    assert len(rows) == 3 and all("QbE" in cells for cells in rows.values())


def test_a_partial_budget_shares_what_it_does_not_change(bench, tmp_path):
    (tmp_path / "b.yaml").write_text("KS: {total_steps: 20, steps_per_epoch: 20}")
    bench("--tasks KS SID --seed 0 --budget {}/b.yaml")
    found, _ = bench("--tasks KS --seed 0")
    assert shown(found) == {
        "mel": {"KS": [(50, 0)], "SID": [(50, 0)]},
        "mel · KS.total_steps=20, KS.steps_per_epoch=20": {
            "KS": [(20, 0)],
            "SID": [(50, 0)],
        },
    }


def test_a_partial_budget_gives_its_keys_to_no_other_task(bench, tmp_path):
    """A row whose SID is of the full protocol is not called "total_steps=20"."""
    keys = "{{total_steps: 20, steps_per_epoch: 10}}".format()
    for name, text in {"all": f"all: {keys}", "half": f"KS: {keys}"}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        rows = shown(bench(f"--tasks KS SID --budget {tmp_path}/{name}.yaml")[0])
    both = rows["mel · total_steps=20, steps_per_epoch=10"]
    half = rows["mel · KS.total_steps=20, KS.steps_per_epoch=10"]
    assert both["SID"] == both["KS"] == half["KS"] != half["SID"]


def test_an_edited_budget_is_another_row(bench, tmp_path):
    for steps in (20, 30):
        (tmp_path / "b.yaml").write_text(
            f"KS: {{total_steps: {steps}, steps_per_epoch: 10, batch_size: 8, lr: 1}}"
        )
        found, _ = bench("--tasks KS SID --seed 0 --budget {}/b.yaml")
    assert shown(found) == {
        "mel · b · KS.total_steps=30": {"KS": [(30, 0)], "SID": [(50, 0)]},
        "mel · b · KS.total_steps=20": {"KS": [(20, 0)], "SID": [(50, 0)]},
    }


def test_more_data_are_the_same_row(bench, tmp_path):
    bench("--tasks KS --seed 0")
    with open(tmp_path / "data.yaml", "a") as file:
        file.write("\nASV: {data_folder: /ASV}")
    found, _ = bench("--tasks ASV --seed 0")
    assert [sorted(row["cells"]) for row in found["rows"]] == [["ASV", "KS"]]


def test_searched_by_another_seed(bench):
    bench("--tasks KS --seed 1 --seeds 2 --lr_search 0.1 0.01")
    found, printed = bench("--tasks KS --seed 2 --lr_search 0.1 0.01")
    rows = {name: cells["KS"] for name, cells in shown(found).items()}
    assert {name: [seed for _, seed in runs] for name, runs in rows.items()} == {
        "mel · lr searched, by seed 2": [2],
        "mel · lr searched, by seed 1": [1, 2],
    }
    assert "mel · lr searched " in printed and "50.20 @0.01" in printed
    found, _ = bench("--tasks KS --seed 1 --lr_search 0.1 0.001")
    names = [row["upstream"] for row in found["rows"]]
    assert len(set(names)) == 3 and "from 0.1 0.001" in names[0]


def test_the_rate_is_told_where_it_was_searched(bench):
    _, printed = bench("--tasks KS --seed 0")
    assert "@" not in printed
    found, printed = bench("--tasks KS --seed 0 --lr_search 0.1 0.01")
    assert "50.00 @0.01" in printed and "@: the learning rate" in printed
    cell = found["rows"][0]["cells"]["KS"]
    assert cell["lr"] == [0.01] and cell["runs"][0]["lr"] == 0.01
    assert "50.00 @0.01" in layout.as_markdown(found)


def test_rates_of_folds(tmp_path):
    folds = [{"lr": 0.1}, {"lr": 0.01}, {"lr": 0.1}]
    results = {"metrics": {}, "lr": None, "folds": folds}
    (tmp_path / "results.json").write_text(json.dumps(results))
    run = run_entries._run_entry(tmp_path, 1, "done")
    assert table._rates([run]) == [0.1, 0.01]


def test_a_changed_card_is_another_row(bench, tmp_path):
    card = "mine: !new:s3prl_sb.lobes.upstreams.features.StftFeatures {{n_mels: {}}}\n"
    for size in (40, 60):
        (tmp_path / "mine.yaml").write_text(card.format(size))
        found, _ = bench("--upstream {}/mine.yaml --tasks KS SID --seed 0")
        tasks = "KS" if size == 40 else "KS SID"
    rows = [row for row in found["rows"] if row["upstream"].startswith("mine")]
    assert [sorted(row["cells"]) for row in rows] == [tasks.split()] * 2
    assert rows[0]["upstream"] == "mine"
    assert rows[1]["upstream"].startswith("mine · card ")
    folders = [{c["runs"][0]["folder"] for c in row["cells"].values()} for row in rows]
    assert not folders[0] & folders[1]
    assert any(note.startswith("card, version") for note in notes.of_table(found))


def test_rows_of_an_earlier_card_say_so_in_each_configuration(bench, tmp_path):
    card = "mine: !new:s3prl_sb.lobes.upstreams.features.StftFeatures {{n_mels: {}}}\n"
    (tmp_path / "b.yaml").write_text("KS: {total_steps: 20, steps_per_epoch: 20}")
    line = "--upstream {0}/mine.yaml --tasks KS --seed 0"
    (tmp_path / "mine.yaml").write_text(card.format(40))
    bench(f"{line} --budget {{0}}/b.yaml")
    (tmp_path / "mine.yaml").write_text(card.format(60))
    found, _ = bench(line)
    names = [r["upstream"] for r in found["rows"] if r["upstream"].startswith("mine")]
    assert (
        names[0] == "mine" and " · card " in names[1] and "total_steps=20" in names[1]
    )


def test_another_version_of_a_recipe_is_another_row(bench, tmp_path):
    found, _ = bench("--tasks KS SID --seed 0")
    [folder] = (tmp_path / "out/mel/KS").iterdir()
    older = folder.with_name("0-00000000")
    shutil.copytree(folder, older)
    stamp = json.loads((older / plan.STAMP).read_text())
    stamp["recipe"]["max_grad_norm"] = 5.0
    (older / plan.STAMP).write_text(json.dumps(stamp))
    found, _ = bench("--tasks KS --seed 0")
    names = [row["upstream"] for row in found["rows"]]
    assert names[0] == "mel" and names[1].startswith("mel · version ")
    assert len(found["rows"][0]["cells"]["KS"]["runs"]) == 1


@pytest.mark.parametrize("damage", ("{", "[{}]", None))
def test_lost_names_lose_no_runs(bench, tmp_path, damage):
    (tmp_path / "b.yaml").write_text("all: {total_steps: 20, steps_per_epoch: 20}")
    bench("--tasks KS SID --seed 0 --budget {}/b.yaml")
    record = tmp_path / "out" / remembered.RECORD
    record.unlink() if damage is None else record.write_text(damage)
    found, _ = bench("--tasks KS --seed 0")
    assert shown(found) == {
        "mel": {"KS": [(50, 0)]},
        "mel · total_steps=20, steps_per_epoch=20": {
            "KS": [(20, 0)],
            "SID": [(20, 0)],
        },
    }


@pytest.mark.parametrize("damage", ("{", "[]", "{}", '{"metrics": {"accuracy": []}}'))
def test_an_unreadable_result_hides_no_other(bench, tmp_path, damage):
    bench("--tasks KS SID --seed 0")
    [folder] = (tmp_path / "out/mel/SID").iterdir()
    (folder / "results.json").write_text(damage)
    found, _ = bench("--tasks KS --seed 0")
    assert shown(found) == {"mel": {"KS": [(50, 0)]}}
    # Asked for, it is named.
    _, printed = bench("--tasks KS SID --seed 0")
    assert "failed" in printed and f"{folder}/results.json' is not" in printed


# --------------------------------------------------------------- published numbers
def test_published_numbers_beside_the_full_protocol_alone(bench, tmp_path):
    line = "--upstream hubert_base --tasks KS SID --seed 0"
    (tmp_path / "b.yaml").write_text("KS: {total_steps: 20, steps_per_epoch: 20}")
    found, printed = bench(f"{line} --budget {{}}/b.yaml")
    published = [x for x in printed.splitlines() if x.startswith("  published")]
    assert len(published) == 1 and "81.42" in published[0]  # SID is as SUPERB has it
    assert "96.30" not in printed
    assert "not comparable: total_steps 20, steps_per_epoch 20" in printed
    # The numbers and where they come from are in the file anyway.
    row = next(r for r in found["rows"] if r["upstream"].startswith("hubert_base"))
    assert row["published"]["SID"]["accuracy"]["source"].startswith("https://")
    assert row["cells"]["SID"]["not_comparable"] == []
    _, printed = bench(f"{line} --budget {{}}/b.yaml --published")
    lines = printed.splitlines()
    [doubtful] = [x for x in lines if x.startswith("  published, not comparable")]
    assert "96.30" in doubtful and "81.42" not in doubtful


def test_another_model_under_a_published_name_is_not_compared(bench, tmp_path):
    budget = tmp_path / "random.yaml"
    budget.write_text("KS: {upstream_model: {source: null}}\n")
    for options in ("", f" --budget {budget}"):
        found, text = bench("--upstream hubert_base --tasks KS" + options)
    names = [line.split("  ")[0].strip() for line in text.splitlines()]
    assert "published" not in names
    row = next(row for row in found["rows"] if "source" in row["upstream"])
    reasons = row["cells"]["KS"]["not_comparable"]
    assert "another upstream_model" in reasons
    assert layout.as_text(found).count("\n  published") == 1  # of the other row


def test_names_move_no_terminals_cursor(bench, tmp_path):
    budget = tmp_path / "b\x1b[2J.yaml"
    budget.write_text("KS: {lr: 0.1, batch_size: 4}\nSID: {lr: 0.2, batch_size: 8}\n")
    found, text = bench(f"--tasks KS SID --budget {budget}")
    assert "\x1b" not in text and r"b\x1b[2J" in text
    assert "\x1b" not in layout.as_markdown(found)


def test_toys_and_small_budgets_are_marked(bench):
    line = "--upstream fbank hubert_base --tasks KS --seed 0 --data toy --budget mini"
    _, printed = bench(line)
    assert "hubert_base · toy · mini" in printed and "96.30" not in printed
    assert "hubert_base · toy · mini: not comparable: toy data, mini budget" in printed
    _, printed = bench(f"{line} --published")
    assert "96.30" in printed and "  published, not comparable" in printed


def test_results_of_older_versions_are_not_compared(bench, tmp_path):
    bench("--upstream hubert_base --tasks KS --seed 0")
    for path in tmp_path.glob("out/*/KS/*/results.json"):
        results = json.loads(path.read_text())
        del results["protocol"], results["lr"]
        path.write_text(json.dumps(results))
    _, printed = bench("--upstream hubert_base --tasks KS --seed 0")
    assert "96.30" not in printed and "protocol unknown" in printed


def test_data_are_known_by_what_they_hold(bench, tmp_path):
    """Moved, they are the same row; changed, another."""

    def corpus(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").write_text(text)
        lines = [f"{t}: {{data_folder: {tmp_path}/{name}}}" for t in ("KS", "SID")]
        (tmp_path / "data.yaml").write_text("\n".join(lines))

    corpus("one", "speech")
    bench("--tasks KS --seed 0")
    corpus("moved", "speech")
    found, _ = bench("--tasks SID --seed 0")
    assert shown(found) == {"mel": {"SID": [(50, 0)], "KS": [(50, 0)]}}
    corpus("noisy", "noise")
    found, _ = bench("--tasks KS --seed 0")
    assert [sorted(row["cells"]) for row in found["rows"]] == [["KS"], ["KS", "SID"]]
