"""ESC-10 as published, in Ogg: its folds, and that neighbors know sounds."""

import json
from collections import Counter

from conftest import REPOSITORY, command

from s3prl_sb.corpora.esc50 import FOLDS, prepare_esc10
from s3prl_sb.dataio import manifest


def test_esc10(data_folder, launcher, tmp_path):
    corpus, tested, recordings = data_folder / "ESC-10", Counter(), []
    for fold in FOLDS:
        paths = prepare_esc10(corpus, tmp_path / f"save{fold}", fold=fold)
        records = manifest.read(paths["test"])
        tested.update(record["label"] for record in records.values())
        recordings.append({name.split("-")[1] for name in records})
        assert all(4 < record["duration"] < 8 for record in records.values())
    assert len(tested) == 10 and set(tested.values()) == {20}
    # Clips of a recording are in one fold
    assert sum(map(len, recordings)) == len(set().union(*recordings))

    recipe, output = REPOSITORY / "recipes/HEAR/scene", tmp_path / "out"
    settings = {"upstream": "fbank_no_cmvn", "corpus": "esc10", "fold": 1}
    argv = command(
        recipe,
        output,
        hparams=recipe / "hparams/knn.yaml",
        data_folder=corpus,
        **settings,
    )
    assert launcher.run(argv) == 0
    found = json.loads((output / "fold1/results.json").read_text())
    assert found["utterances"] == {"train": 120, "valid": 40, "test": 40}
    assert found["metrics"]["accuracy"] > 0.3  # chance: 0.1
