"""A probe of every hidden state learns, to the last bit, what a run of its own does."""

import json
import sys
from pathlib import Path

import pytest
from conftest import command

sys.path.append(str(Path(__file__).parents[1] / "contract/small"))
from tasks import RECIPES, small  # noqa: E402

#: Three hidden states; a cache that is rounded, where it has frames.
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""
BUDGET = {
    "total_steps": 6,
    "steps_per_epoch": 2,
    "batch_size": 4,
    "ckpt_interval_steps": 1,
    "cache": "auto",
    **{f"{s}_dataloader_opts": "{num_workers: 0}" for s in ("valid", "test")},
}
#: A search in each probe, in noise.
CONDITIONS = {
    "lr_search": "[0.1, 0.01]",
    "noise": "{snr: [0, 15], draws: 2}",
    "test_noise": "{snr: 10}",
}
KILL = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "call": 14, "how": "after"}
COSTS = ("seconds", "peak_memory_gb")


def found(output, name):
    content = json.loads(Path(output, name).read_text())
    return {key: value for key, value in content.items() if key not in COSTS}


@pytest.mark.parametrize(
    "name, cached, more",
    [("SUPERB/SID", "pooled", {}), ("TIMIT/phones", "frames", CONDITIONS)],
)
def test_each_is_as_a_run_of_its_own(name, cached, more, launcher, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    given = {**BUDGET, **small(name).tables(tmp_path), "lr": 0.01}
    given |= {"upstream": tmp_path / "tiny.yaml", "cache_folder": tmp_path / "cache"}
    given |= {key: value for key, value in more.items() if key != "lr_search"}
    probes = {**more, "probe_layers": True}

    def argv(output, **keys):
        return command(RECIPES[name], tmp_path / output, **{**given, **keys})

    whole = argv("whole", **probes)
    assert launcher.run(whole) == 0
    assert (
        f"Cache of the train set: {cached}" in (tmp_path / "whole/log.txt").read_text()
    )
    layers = found(tmp_path / "whole", "layers.json")
    assert [row["layer"] for row in layers["layers"]] == [0, 1, 2]
    for output, row in (("one", layers["layers"][1]), ("sum", layers["weighted_sum"])):
        chosen = "all" if row["layer"] is None else f"[{row['layer']}]"
        single = argv(output, featurizer=f"{{layers: {chosen}}}", lr=row["lr"])
        assert launcher.run(single) == 0
        run = found(tmp_path / output, "results.json")
        assert (row["valid"], row["test"]) == (run["valid"], run["metrics"])
        assert row["best_step"] == run["best_step"]
        assert row["intervals"] == run["intervals"]
    assert layers["weights"]["weights"] == run["layer_weights"]  # of the weighted sum

    killed = argv("killed", **probes)
    assert launcher.run(killed, kill=KILL) == -9
    assert launcher.run(killed) == 0
    again = found(tmp_path / "killed", "layers.json")
    for key in ("layers", "weighted_sum", "weights"):
        assert again[key] == layers[key]
