"""Phones of real speech by frames: learned by heart, at the rate of the labels."""

from conftest import REPOSITORY, command, results

from s3prl_sb.dataio import label_files, manifest

CARD = """
fbank: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures
    feature: fbank
    num_mel_bins: 80
    frame_length: 25.0
    frame_shift: 20.0
    deltas: 2
    cmvn: True
"""
SMALL = {
    "total_steps": 60,
    "steps_per_epoch": 60,
    **{f"{split}_dataloader_opts": "{num_workers: 0}" for split in
       ("train", "valid", "test")},
}  # fmt: skip


def test_overfits_real_phones(data_folder, launcher, tmp_path):
    """Three sentences of TIMIT; what it predicts for a file is what it has scored."""
    timit = data_folder / "TIMIT"
    phones = label_files.read(timit / "TRAIN/DR7/MADD0", kind=".phn")
    chosen = sorted(phones, key=lambda name: phones[name][-1][2])[:3]
    records = {
        name: {
            "wav": str(timit / f"TRAIN/DR7/MADD0/{name}.WAV"),
            "duration": phones[name][-1][2],  # the last label ends near the end
            "segments": [list(segment) for segment in phones[name]],
        }
        for name in chosen
    }
    for path in manifest.paths_in(tmp_path).values():
        manifest.write(records, path)
    (tmp_path / "fbank.yaml").write_text(CARD)
    run = tmp_path / "run"
    overrides = {"data_folder": tmp_path, "upstream": tmp_path / "fbank.yaml"}
    argv = command(REPOSITORY / "tests/frames_toy", run, **SMALL, **overrides)
    assert launcher.run(argv) == 0
    # Features every 20 ms and labels every 10: two labels may share a frame
    assert results(run)["metrics"]["frame_accuracy"] > 0.96
