"""Phones of real speech by frames: learned by heart."""

from conftest import REPOSITORY, command, results

from s3prl_sb.dataio import manifest
from s3prl_sb.units import alignments

SMALL = {
    "total_steps": 50,
    "steps_per_epoch": 50,
    **{f"{split}_dataloader_opts": "{num_workers: 0}" for split in
       ("train", "valid", "test")},
}  # fmt: skip


def test_overfits_real_phones(data_folder, launcher, tmp_path):
    """Three sentences of TIMIT in 39 phones, every 10 ms."""
    folder, records = data_folder / "TIMIT/TRAIN/DR1/FVMH0", {}
    for name, each in sorted(alignments.read(folder).exact.items())[:3]:
        rows = zip(each.phones, each.starts.tolist(), each.stops.tolist())
        records[name] = {
            "wav": str(folder / f"{name}.WAV"),
            "duration": each.stops[-1].item(),  # the last phone ends near the end
            "segments": [list(row) for row in rows if row[0]],
        }
    for path in manifest.paths_in(tmp_path).values():
        manifest.write(records, path)
    recipe, run = REPOSITORY / "tests/frames_toy", tmp_path / "run"
    argv = command(recipe, run, **SMALL, data_folder=tmp_path)
    assert launcher.run(argv) == 0
    assert results(run)["metrics"]["frame_accuracy"] > 0.99
