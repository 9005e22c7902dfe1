"""Whether a run is one of SUPERB's protocol, on SUPERB's data."""

import functools
import types

import pytest
import torch

from s3prl_sb import resources
from s3prl_sb.benchmark.budgets import read_budget
from s3prl_sb.benchmark.keys import recipe
from s3prl_sb.brains import parts, results
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.runs.suite_tasks import tasks_of
from s3prl_sb.runs.suites import SUPERB
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import protocol
from s3prl_sb.startup.configuration import RECIPE, SCHEMA, load_recipe
from s3prl_sb.storage.files import write_json

TASKS = tasks_of(SUPERB)

CARD = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""


#: Values of the published numbers that no default can have: a user's files.
OTHERS = {"SUPERB/VC": {"vocoder": "hifigan_vctk"}}


def lines(values):
    return "\n".join(f"{key}: {value}" for key, value in values.items())


@functools.lru_cache(maxsize=None)
def counts(task):
    """The sizes of the real corpus' sets."""
    found = {}
    for name, size in Schema.of_recipe(task).tree["__protocol"]["utterances"].items():
        parts = [part.strip() for part in name.split("+")]
        size = size["from"] if isinstance(size, dict) else size
        for part in parts:
            found[part] = size // len(parts)
    return found


def told(task, overrides="", utterances=None, folder="/corpus", file=None):
    """Returns the comparison in results.json of a run with these overrides."""
    file = file or resources.recipes()[task] / "hparams" / "train.yaml"
    data = f"data_folder: {folder}\n" if folder else ""
    upstream = "" if "upstream:" in overrides else "upstream: fbank_no_cmvn\n"
    schema, settings = loaded(task, str(file), f"{data}{upstream}{overrides}")
    return protocol.report(schema, settings, utterances or counts(task))


@functools.lru_cache(maxsize=None)
def loaded(task, file, overrides):
    """Returns the schema of a recipe and its settings, which a report only reads."""
    hparams = load_recipe(file, overrides)
    return protocol.schema_of(task, hparams[SCHEMA]), hparams[RECIPE]


@pytest.mark.parametrize("task", map(recipe, TASKS))
def test_the_defaults_on_the_real_corpus_are_the_protocol(task):
    changed = OTHERS.get(task, {})
    found = told(task, lines(changed))
    assert found["protocol"]["followed"] is True, found["protocol"]["differs"]
    assert set(found["settings"]) == {"data_folder", "upstream", *changed}


def test_griffin_lim_is_not_the_vocoder_of_published_numbers():
    found = told("SUPERB/VC")
    assert found["protocol"]["differs"] == ["vocoder griffin_lim"]
    judged = told("SUPERB/VC", "vocoder: hifigan_vctk\nasr: /runs/asr")
    assert judged["protocol"]["followed"] is True


@pytest.mark.parametrize("task", map(recipe, TASKS))
def test_where_things_lie_and_who_is_tested_does_not_matter(task, tmp_path):
    places = {name: f"{tmp_path}/{name}" for name in ("output_folder", "cache_folder")}
    found = told(task, lines({"seed": 7, **places, **OTHERS.get(task, {})}))
    assert found["protocol"]["followed"] is True
    assert {"seed", "cache_folder"} <= set(found["settings"])
    assert "output_folder" not in found["settings"]  # where results.json lies


@pytest.mark.parametrize("task", [t for t in TASKS if read_budget("mini")[t]])
def test_the_small_budget_is_not_the_protocol(task):
    mini = read_budget("mini")[task]
    found = told(recipe(task), lines(mini).replace("None", "null"))["protocol"]
    assert found["followed"] is False and found["data"] is None
    assert found["settings"]["total_steps"] == mini["total_steps"]


@pytest.mark.parametrize(
    "overrides, key",
    [
        ("total_steps: 20\nsteps_per_epoch: 20", "total_steps"),
        ("batch_size: 8", "batch_size"),
        ("batch_seconds: 20", "batch_seconds"),
        ("freeze: False", "freeze"),
        ("train_fraction: 0.5", "train_fraction"),
        ("head: {hidden_size: 8}", "head.hidden_size"),
        ("featurizer: {layers: last}", "featurizer.layers"),
        ("upstream_model: {precision: bf16}", "upstream_model.precision"),
        ("labels: folders", "labels"),
        ("lr: 0.003", "lr"),
    ],
)
def test_each_departure_is_named(overrides, key):
    found = told("SUPERB/KS", overrides)
    assert key in found["settings"] and key in found["protocol"]["settings"]
    assert any(words.startswith(f"{key} ") for words in found["protocol"]["differs"])
    assert found["protocol"]["followed"] is False


def test_a_rate_of_the_search_is_the_protocol():
    assert told("SUPERB/KS", "lr: 0.1")["protocol"]["followed"] is True
    assert told("SUPERB/KS", "lr: 1e-7")["protocol"]["followed"] is True
    found = told("SUPERB/KS", "lr_search: [0.1, 0.01]")
    assert found["protocol"]["followed"] is True
    assert found["settings"]["lr_search"] == [0.1, 0.01]


def test_the_batch_that_published_numbers_are_of_is_the_protocol():
    """S3PRL halves the batches of ASR, whatever its setting says."""
    assert told("SUPERB/ASR", "batch_size: 16")["protocol"]["followed"] is True
    assert told("SUPERB/ASR", "batch_size: 8")["protocol"]["followed"] is False
    assert told("SUPERB/PR", "batch_size: 8")["protocol"]["followed"] is False


def test_chunks_may_be_more_than_the_recordings_and_not_less():
    sizes = {"train": 60000, "valid": 3014, "test": 3002}
    assert told("SUPERB/SD", utterances=sizes)["protocol"]["followed"] is True
    found = told("SUPERB/SD", utterances={**sizes, "train": 10})["protocol"]
    assert found["differs"] == ["train 10 of 13901"]


def test_defaults_stand_beside_the_settings():
    found = told("SUPERB/KS", "total_steps: 10000\nhead: {hidden_size: 8}")
    assert found["settings"]["head.hidden_size"] == 8
    assert found["defaults"]["head.hidden_size"] == 256
    assert found["defaults"]["total_steps"] == 200000
    found = told("SUPERB/ASR", "spec_augment: null")  # of what is built, its parts
    assert found["settings"]["spec_augment"] is None
    assert len(found["defaults"]["spec_augment"]) > 2


def test_a_copy_of_a_recipe_is_compared_with_the_recipe(tmp_path):
    path = resources.recipes()["SUPERB/KS"] / "hparams" / "train.yaml"
    text = path.read_text().replace("total_steps: 200000", "total_steps: 5000")
    (tmp_path / "mine.yaml").write_text(text)
    found = told("SUPERB/KS", file=tmp_path / "mine.yaml")
    assert found["settings"]["total_steps"] == 5000
    assert found["protocol"]["differs"] == ["total_steps 5000"]


def test_a_key_that_a_copy_leaves_out_is_a_departure(tmp_path):
    path = resources.recipes()["SUPERB/KS"] / "hparams" / "train.yaml"
    text = path.read_text().replace("max_grad_norm: 1.0\n", "")
    (tmp_path / "mine.yaml").write_text(text)
    found = told("SUPERB/KS", file=tmp_path / "mine.yaml")["protocol"]
    assert found["differs"] == ["max_grad_norm null"]


def test_a_task_of_ones_own_has_no_protocol(tmp_path):
    file = resources.folder("recipes").parent / "templates/new_task/hparams/train.yaml"
    if not file.is_file():
        pytest.skip("no templates in this installation")
    hparams = load_recipe(str(file), "data_folder: /digits\ntotal_steps: 300")
    schema = protocol.schema_of("digits", hparams[SCHEMA])
    found = protocol.report(schema, hparams[RECIPE], {"train": 1})
    assert found["protocol"]["followed"] is None
    assert found["settings"] == {"data_folder": "/digits", "total_steps": 300}


# ------------------------------------------------------------------------- data
@pytest.mark.parametrize("task", map(recipe, TASKS))
def test_a_smaller_set_is_not_the_corpus(task):
    for name in counts(task):
        sizes = {**counts(task), name: counts(task)[name] // 2}
        found = told(task, utterances=sizes)["protocol"]
        assert found["followed"] is False and " of " in found["data"]


def test_a_few_files_less_are_still_the_corpus():
    sizes = {name: size - 3 for name, size in counts("SUPERB/ASR").items()}
    assert told("SUPERB/ASR", utterances=sizes)["protocol"]["followed"] is True


def test_tables_of_ones_own_are_not_the_corpus():
    overrides = "train_csv: a.csv\nvalid_csv: b.csv\ntest_csv: c.csv"
    for folder in (None, "/corpora/commands"):  # which is not read
        found = told("SUPERB/KS", overrides, folder=folder)["protocol"]
        assert found["data"] == "own tables" and found["corpus"] is None


@pytest.mark.parametrize("inner", ("", "quesst14Database"))
def test_a_toy_is_called_so(tmp_path, inner):
    write_json(tmp_path / "toy.json", {})
    found = told("SUPERB/QbE", folder=tmp_path / inner)["protocol"]
    assert found["differs"] == ["toy data"] and found["followed"] is False


# ---------------------------------------------------------------- of a whole run
def brain(tmp_path, overrides="", task="SUPERB/KS", **others):
    """As much of a Brain as results.json is about."""
    (tmp_path / "tiny.yaml").write_text(CARD)
    file = resources.recipes()[task] / "hparams" / "train.yaml"
    hparams = load_recipe(
        str(file),
        f"upstream: {tmp_path}/tiny.yaml\ndata_folder: /corpus\n"
        f"output_folder: {tmp_path}/out\n{overrides}",
    )
    found = types.SimpleNamespace(
        hparams=types.SimpleNamespace(**hparams),
        upstream=hparams["upstream_model"],
        raw_modules={"featurizer": hparams["featurizer"]},
        task=task,
        metric="accuracy",
        higher_is_better=True,
        origin=None,
        best={"accuracy": 0.5},
        splits=counts(task),
        data={"train": "1" * 12},
        tested_seconds=1800.0,
        signatures={},
        tested_on=lambda: ["1" * 12],
        optimizer_step=3,
        started=0.0,
        device=torch.device("cpu"),
        device_type="cpu",
        precision="fp32",
    )
    vars(found).update(others)
    return found


def written(tmp_path, *args, **others):
    from s3prl_sb.storage.files import read_json

    results.write(brain(tmp_path, *args, **others), {"accuracy": 0.25})
    return read_json(tmp_path / "out/results.json")


def test_frozen_fine_tuned_adapted(tmp_path):
    adapted = "upstream_model: {freeze: False, adapter: {kind: lora, rank: 2}}"
    half = "upstream_model: {precision: bf16}"
    cases = {"": "frozen", "freeze: False": "fine-tuned", adapted: "lora", half: None}
    seen = []
    for overrides, trained in cases.items():
        found = written(tmp_path, overrides)
        about = found["upstream_model"]
        assert trained is None or about["trained"] == trained
        assert found["protocol"]["followed"] is (overrides == "")
        seen.append(str((about, found["settings"])))
    assert len(set(seen)) == 4
    assert about["precision"] == "bf16"


def test_what_a_run_was_trained_with(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    found = written(
        tmp_path, "batch_size: null\nbatch_seconds: 40\ngrad_accumulation_factor: 2"
    )
    assert found["version"] == 2
    assert found["training"] == {
        "precision": "fp32",
        "processes": 3,
        "batch_size": None,
        "batch_seconds": 40,
        "grad_accumulation_factor": 2,
        "steps_per_epoch": 5000,
    }
    found = written(tmp_path, precision="bf16")
    assert found["settings"]["precision"] == "bf16"
    assert found["protocol"]["differs"] == ["precision bf16"]


def test_the_rate_that_was_chosen_is_the_one_that_counts(tmp_path):
    chosen = brain(tmp_path, "lr_search: [0.1, 0.003]")
    for lr, followed in ((0.1, True), (0.003, False)):
        chosen.hparams.lr = lr  # as train_and_test does
        found = results.describe_settings(chosen)
        assert found["settings"]["lr"] == lr
        assert found["settings"]["lr_search"] == [0.1, 0.003]
        assert found["protocol"]["followed"] is followed


def test_weights_are_known_by_their_hash(tmp_path):
    one = written(tmp_path)["identity"]
    other = brain(tmp_path)
    with torch.no_grad():
        next(other.upstream.parameters()).add_(1)
    assert results.run_identity(other) != one


def test_a_source_is_told():
    upstream = load("hubert_base", source=None)
    upstream.arguments["source"] = "https://example.org/a.pt"
    assert results.describe_upstream(upstream)["source"] == "https://example.org/a.pt"


# ------------------------------------------------------------------------ folds
def fold_results(tmp_path, number, **changes):
    found = {
        "task": "SUPERB/ER",
        "metrics": {"accuracy": 0.5},
        "valid": {"accuracy": 0.5},
        "utterances": {"train": 3540, "valid": 885, "test": 1106},
        "best_step": 1,
        "layer_weights": [1.0],
        "lr": 0.1,
        "seconds": 1.0,
        "peak_memory_gb": 1.0,
        "settings": {"data_folder": "/iemocap", "fold": number},
        "defaults": {"data_folder": None, "fold": "all"},
        "protocol": {
            "followed": False,
            "settings": {"fold": number},
            "corpus": "/iemocap",
        },
        "identity": {"weights": "a", "data": {"train": str(number)}},
    }
    write_json(tmp_path / f"fold{number}/results.json", {**found, **changes})


def test_all_folds_together_are_the_protocol(tmp_path):
    for number in range(1, 6):
        fold_results(tmp_path, number)
    found = parts.summary(tmp_path, parts.folds_of(range(1, 6)))
    assert found["protocol"]["followed"] is True
    assert found["settings"] == {"data_folder": "/iemocap"}
    assert found["identity"] == {"weights": "a", "data": None}
    assert [fold["identity"]["data"]["train"] for fold in found["folds"]] == list(
        "12345"
    )


def test_one_fold_that_departs_is_one_too_many(tmp_path):
    for number in range(1, 6):
        fold_results(tmp_path, number)
    fold_results(
        tmp_path,
        3,
        settings={"data_folder": "/iemocap", "fold": 3, "total_steps": 20},
        defaults={"data_folder": None, "fold": "all", "total_steps": 30000},
        protocol={
            "followed": False,
            "settings": {"fold": 3, "total_steps": 20},
            "corpus": "/iemocap",
        },
    )
    found = parts.summary(tmp_path, parts.folds_of(range(1, 6)))["protocol"]
    assert found["followed"] is False
    assert found["differs"] == ["total_steps in some folds"]


def test_folds_of_a_toy(tmp_path):
    for number in range(1, 6):
        fold_results(tmp_path, number, utterances={"train": 4, "valid": 1, "test": 2})
    found = parts.summary(tmp_path, parts.folds_of(range(1, 6)))["protocol"]
    assert found["data"] == "train + valid 25 of 22124"


def test_folds_of_an_older_version(tmp_path):
    for number in range(1, 6):
        fold_results(tmp_path, number, **({"protocol": None} if number == 2 else {}))
    found = parts.summary(tmp_path, parts.folds_of(range(1, 6)))
    assert found["protocol"] is None and found["settings"] is None


def test_a_broken_fold_is_named(tmp_path):
    fold_results(tmp_path, 1)
    (tmp_path / "fold2").mkdir()
    (tmp_path / "fold2/results.json").write_text("{")
    with pytest.raises(ValueError, match="fold2/results.json"):
        parts.summary(tmp_path, parts.folds_of((1, 2)))
