"""The table of s3prl-sb superb."""

import json
import statistics

import pytest

from s3prl_sb.superb import plan, published, table
from s3prl_sb.superb.jobs import Job
from s3prl_sb.superb.tasks import TASKS


@pytest.fixture
def runs(tmp_path):
    """Two seeds of KS and SID of two upstreams, none of them run."""
    places = {task: {"data_folder": "/data"} for task in ("KS", "SID")}
    return plan.make(
        ["hubert_base", "mel"], ["KS", "SID"], places, {}, tmp_path, (1, 2)
    )


def finish(run, accuracy):
    run.command()
    metrics = {"metrics": {"accuracy": accuracy}, "valid": {}, "seconds": 2.0}
    (run.folder / "results.json").write_text(json.dumps(metrics))


def cells(text):
    return [line.split() for line in text.splitlines()]


def test_mean_and_spread(runs):
    for run, accuracy in zip(runs, (0.9, 0.94)):
        finish(run, accuracy)
    found = table.gather(runs, ["KS", "SID"])
    summary = found["rows"][0]["cells"]["KS"]["metrics"]["accuracy"]
    assert summary["mean"] == pytest.approx(92) and summary["seeds"] == 2
    assert summary["spread"] == pytest.approx(statistics.stdev((90, 94)))
    text = table.as_text(found)
    assert "92.00 ± 2.83" in text and "mean ± standard deviation" in text
    assert "KS Acc ↑" in text


def test_a_mean_of_some_seeds_is_no_result(runs):
    finish(runs[0], 0.9)
    found = table.gather(runs, ["KS", "SID"])
    assert found["rows"][0]["cells"]["KS"]["state"] == "missing"
    assert "90.00" not in table.as_text(found)
    runs[1].job = Job("x", None, None, None, state="failed")
    assert "failed" in table.as_text(table.gather(runs, ["KS", "SID"]))


def test_a_task_without_data(runs):
    found = table.gather(runs, ["PR", "KS", "SID"], missing=["PR"])
    assert all("no data" in line for line in table.grid(found)[1::2][:1])
    assert table.grid(found)[0][1] == "PR PER ↓"


def test_published_and_unverified(runs):
    for run in runs:
        finish(run, 0.5)
    found = table.gather(runs, ["KS", "SID"])
    reported = found["rows"][0]["published"]
    assert reported["SID"]["accuracy"]["verified"]
    assert reported["SID"]["accuracy"]["source"].startswith("https://")
    assert not found["rows"][1]["published"]  # mel
    lines = table.grid(found)
    assert [line[0] for line in lines] == [
        "upstream",
        "hubert_base",
        "  published",
        "mel",
    ]
    column = lines[0].index("SID Acc ↑")
    assert lines[2][column] == "81.42"
    unverified = [
        number
        for metrics in published.read()["fbank"].values()
        for number in metrics.values()
    ]
    assert any(source is None for _, source in unverified)
    assert "~" in table.as_text(table.gather(_of("fbank", runs), ["KS", "SID"]))


def _of(upstream, runs):
    output = runs[0].output
    return plan.make([upstream], ["SID"], {"SID": {}}, {}, output, (1,))


def test_every_published_number_is_of_a_card_and_a_metric():
    from s3prl_sb.lobes.upstreams import names

    known = set(names())
    for card, row in published.read().items():
        assert card in known
        for task, metrics in row.items():
            assert set(metrics) <= {metric.key for metric in TASKS[task]}


def test_aliases_are_cards_of_the_same_weights():
    import ruamel.yaml

    from s3prl_sb import resources
    from s3prl_sb.lobes.upstreams import card

    path = resources.folder("hparams") / "superb" / "published.yaml"
    found = ruamel.yaml.YAML(typ="safe").load(path.read_text())["aliases"]
    for alias, name in found.items():
        one, other = card(alias), card(name)
        assert (one.tag.value, dict(one)) == (other.tag.value, dict(other)), alias


def test_every_verified_cell_names_its_source():
    for row in published.read().values():
        for metrics in row.values():
            for _, source in metrics.values():
                assert source is None or source.startswith("https://")


def test_narrow_terminals_get_blocks(runs):
    for run in runs:
        finish(run, 0.5)
    found = table.gather(runs, ["KS", "SID"])
    wide, narrow = table.as_text(found), table.as_text(found, width=34)
    assert max(map(len, narrow.splitlines()[:4])) <= 34
    assert len(narrow.splitlines()) > len(wide.splitlines())
    for word in ("KS", "SID", "81.42"):
        assert word in narrow


def test_markdown(runs):
    for run in runs:
        finish(run, 0.5)
    lines = table.as_markdown(table.gather(runs, ["KS", "SID"])).splitlines()
    assert lines[0] == "| upstream | KS Acc ↑ | SID Acc ↑ |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2].startswith("| hubert_base | 50.00 ± 0.00 |")


def test_small_numbers_and_units(runs, tmp_path):
    known = published.read()["fbank"]
    assert table._number(known["SID"]["accuracy"][0], TASKS["SID"][0]) == "8.5e-04"
    assert table._number(known["QbE"]["mtwv"][0], TASKS["QbE"][0]) == "0.0058"
    assert table._number(0.0, TASKS["SID"][0]) == "0.00"


def test_written_and_read(runs, tmp_path):
    found = table.gather(runs, ["KS", "SID"])
    table.write(found, tmp_path)
    assert table.read(tmp_path) == json.loads(json.dumps(found))
    assert (tmp_path / "table.md").read_text().startswith("| upstream |")
    with pytest.raises(ValueError, match="is not there"):
        table.read(tmp_path / "nowhere")
