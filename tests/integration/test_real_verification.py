"""Speaker verification on real speech: its corpus, and learning it by heart."""

import itertools
import json

import soundfile
from conftest import REPOSITORY, command

from s3prl_sb.corpora.voxceleb1_asv import prepare_voxceleb1_asv, trial_lists
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.silence import TrimSilence
from s3prl_sb.inference import load

ASV = REPOSITORY / "recipes/SUPERB/ASV"
#: With SUPERB's five convolutions, a processor's rounding decides whether 500 updates
#: are enough. Two, and a loss that saturates late, separate the speakers in 200.
SMALL = {
    "upstream": "fbank_no_cmvn",
    "embedding_size": 64,
    "head": "{hidden_size: 64, pooled_size: 96, "
    "kernel_sizes: [5, 3], dilations: [1, 2]}",
    "loss": "{scale: 10}",
    "crops": 1,
    "min_seconds": 1,
    "lr": 0.003,
    "scheduler": "linear",
    "warmup_steps": 10,
    "batch_size": 16,
    "grad_accumulation_factor": 1,
    "total_steps": 200,
    "steps_per_epoch": 200,
}


def test_prepare(data_folder, tmp_path):
    vox = data_folder / "VoxCeleb1"
    paths = prepare_voxceleb1_asv(vox, tmp_path, valid_speakers=4)
    found = {name: manifest.read(path) for name, path in paths.items()}
    for name, records in found.items():
        manifest.validate(records, paths[name], ("speaker", "video"))
    speakers = {n: {r["speaker"] for r in rs.values()} for n, rs in found.items()}
    everyone = {folder.name for folder in (vox / "dev/wav").iterdir()}
    assert speakers["train"] | speakers["valid"] == everyone - speakers["test"]
    assert len(speakers["valid"]) == 4 and not speakers["train"] & speakers["valid"]
    listed = (vox / "veri_test.txt").read_text().splitlines()
    trials = trial_lists(tmp_path)
    assert len(trials["test"]) == len(listed)
    labels = [trial.label for trial in trials["valid"]]
    assert sum(labels) == len(labels) / 2 > 10


def test_pauses_are_cut_out_of_real_speech(data_folder):
    trim, shares = TrimSilence(), []
    files = sorted((data_folder / "VoxCeleb1/test/wav").rglob("*.wav"))[:6]
    for file in files:
        sig = LoadAudio().load(file.name, str(file))
        left = trim.trim(sig)
        shares.append(len(left) / len(sig))
        # Little is lost of the energy
        assert left.square().sum() > 0.999 * sig.square().sum()
    assert all(0.3 < share <= 1 for share in shares) and min(shares) < 1


def test_learns_speakers_by_heart(data_folder, tmp_path, launcher):
    """Equal error rate 0 in trials of the utterances that were trained on."""
    home = data_folder / "VoxCeleb1/dev/wav"
    files = []
    for speaker in sorted(home.iterdir())[:8]:
        for file in sorted(speaker.rglob("*.wav"))[:4]:
            assert soundfile.info(file).duration > 1
            files.append((str(file), speaker.name))
    lines = [f"{wav},{speaker}" for wav, speaker in files]
    (tmp_path / "train.csv").write_text("\n".join(["wav,spk", *lines]))
    lines = [
        f"{a},{b},{int(s == t)}" for (a, s), (b, t) in itertools.combinations(files, 2)
    ]
    (tmp_path / "trials.csv").write_text("\n".join(["wav1,wav2,label", *lines]))
    output = tmp_path / "out"
    overrides = {
        **SMALL,
        "train_csv": tmp_path / "train.csv",
        "valid_csv": tmp_path / "trials.csv",
        "test_csv": tmp_path / "trials.csv",
    }
    assert launcher.run(command(ASV, output, **overrides)) == 0
    metrics = json.loads((output / "results.json").read_text())["metrics"]
    assert metrics["eer"] == metrics["min_dcf"] == 0
    assert metrics["false_acceptance"] == metrics["false_rejection"] == 0
    model, (first, _), (second, _), (other, _) = load(output), *files[:2], files[-1]
    assert model.verify_files(first, second)[1] is True
    assert model.verify_files(first, other)[1] is False
    assert [line[-4:] for line in model.lines([first, second])] == ["same"]
