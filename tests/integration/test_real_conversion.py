"""Voice conversion of real speech: twenty sentences make another speaker's voice."""

import numpy as np
from conftest import REPOSITORY, command, results
from test_real_diarization import CARD

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.corpora.vcc2016 import prepare_vcc2016
from s3prl_sb.dataio import manifest
from s3prl_sb.metrics.conversion import averages, conversion_metrics

RATE, TARGET = 16000, "TM1"
SMALL = {
    "corpus": "vcc2016",
    "target_speaker": TARGET,
    "mel": "{sample_rate: 16000, fmin: 0, fmax: 8000}",
    "head": "{name: simple, hidden_size: 128}",
    "chunk_seconds": 1,
    "lr": 0.002,
    "warmup_steps": 0,
    "total_steps": 100,
    "steps_per_epoch": 100,
    "f0_range": "[68, 218]",
    "train_dataloader_opts": "{num_workers: 0}",
}


def test_a_conversion_is_nearer_to_the_target_than_the_source(
    data_folder, launcher, tmp_path
):
    """On sentences that were not trained on, of a woman, to a man."""
    corpus = data_folder / "VCC2016"
    card = tmp_path / "fbank.yaml"
    card.write_text(CARD.replace("cmvn: True", "cmvn: False"))
    output = tmp_path / "out"
    given = {**SMALL, "upstream": card, "data_folder": corpus}
    assert launcher.run(command(REPOSITORY / "recipes/SUPERB/VC", output, **given)) == 0
    paths = prepare_vcc2016(corpus, tmp_path / "save", TARGET)
    rows = {"SF1": [], "converted": []}
    for name, record in manifest.read(paths["test"]).items():
        if name.startswith("SF1"):
            own = output / f"converted/{name}.wav"
            files = {"SF1": record["wav"], "converted": str(own)}
            target = load_waveform(name, record["target"], sample_rate=RATE).numpy()
            for kind, file in files.items():
                wav = load_waveform(name, file, sample_rate=RATE).numpy()
                values = conversion_metrics(wav, target, RATE, (68.0, 218.0))
                rows[kind].append(values)
    source, converted = (averages(each) for each in rows.values())
    assert len(rows["SF1"]) == 5
    assert converted["mcd"] < source["mcd"] - 0.7
    assert converted["f0_rmse"] < 0.7 * source["f0_rmse"]
    assert np.isfinite(results(output)["metrics"]["mcd"])
