"""Diarization of real speech: learned by heart, and scored as others do."""

import csv

import pytest
from conftest import REPOSITORY, command, results

from s3prl_sb.brains.diarization import errors_of
from s3prl_sb.corpora.ami import prepare_ami_sd
from s3prl_sb.corpora.libri2mix import prepare_libri2mix_sd
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.rttm import read_rttm, read_uem, write_rttm
from s3prl_sb.inference import load

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
    "head": "{hidden_size: 64}",
    "batch_size": 10,
    "grad_accumulation_factor": 1,
    "lr": 0.01,
    "total_steps": 80,
    "steps_per_epoch": 40,
    **{f"{split}_dataloader_opts": "{num_workers: 0}" for split in
       ("train", "valid", "test")},
}  # fmt: skip


def overfit(launcher, output, **overrides):
    card = output.with_name("fbank.yaml")
    card.write_text(CARD)
    overrides["upstream"] = card
    argv = command(REPOSITORY / "recipes/SUPERB/SD", output, **{**SMALL, **overrides})
    assert launcher.run(argv) == 0
    return results(output)["metrics"]


def segment_table(records, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", "wav", "speaker", "start", "stop"])
        for name, record in records.items():
            for segment in record["segments"]:
                writer.writerow([name, record["wav"], *segment])
    return path


def test_overfits_real_mixtures(data_folder, launcher, tmp_path):
    """The ten of the training set, by way of a table."""
    paths = prepare_libri2mix_sd(data_folder / "Libri2Mix_diar", tmp_path / "save")
    records = manifest.read(paths["train"])
    table = segment_table(records, tmp_path / "table.csv")
    tables = {f"{split}_csv": table for split in ("train", "valid", "test")}
    metrics = overfit(launcher, tmp_path / "out", **tables)
    assert metrics["der"] < 0.02, metrics
    found = read_rttm(tmp_path / "out/hyp.rttm")
    assert errors_of(records, found).rate == pytest.approx(metrics["der"], abs=1e-3)
    model = load(tmp_path / "out")
    name, record = next(iter(records.items()))
    again = model.diarize_file(record["wav"])
    assert [s for s, _, _ in again] == [s for s, _, _ in found[name]]
    assert list(model.lines([record["wav"]]))[0].startswith(f"SPEAKER {name} 1 ")


def test_overfits_a_real_meeting(data_folder, launcher, tmp_path):
    """Up to four speakers, one of them not in ASCII."""
    paths = prepare_ami_sd(data_folder / "AMI_debug", tmp_path / "save")
    records = {n: manifest.read(path) for n, path in paths.items()}
    assert [sorted(r) for r in records.values()] == [
        ["trn01", "trn02", "trn03", "trn04"],
        ["dev00"],
        ["tst00"],
    ]
    assert records["train"]["trn01"]["regions"] == [[0.0, 30.0]]
    assert "MÉO069" in records["train"]["trn03"]["speakers"]
    # One excerpt is enough: thirty seconds, nine turns
    table = segment_table(records["valid"], tmp_path / "table.csv")
    tables = {f"{split}_csv": table for split in ("train", "valid", "test")}
    few = {"num_speakers": 4, "batch_size": 1}
    metrics = overfit(launcher, tmp_path / "out", **tables, **few)
    assert metrics["der"] < 0.02, metrics


def degraded(records):
    """Hypotheses as a bad system would make them: shifted, dropped, confused."""
    kinds = {"exact": {}, "shifted": {}, "dropped": {}, "confused": {}, "all": {}}
    for name, record in records.items():
        true = [tuple(segment) for segment in record["segments"]]
        shifted = [(s, a + 0.3, b + 0.3) for s, a, b in true]
        first = record["speakers"][0]
        confused = [(first if i % 3 == 0 else s, a, b)
                    for i, (s, a, b) in enumerate(true)]  # fmt: skip
        kinds["exact"][name] = true
        kinds["shifted"][name] = shifted
        kinds["dropped"][name] = true[::2]
        kinds["confused"][name] = confused
        kinds["all"][name] = [(s, a + 0.3, b + 0.3) for s, a, b in confused[1::2]]
    return kinds


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_scores_meetings_as_pyannote_does(data_folder, tmp_path, collar):
    """End to end through files: ours read the manifest, pyannote the corpus' own."""
    pytest.importorskip("pyannote.metrics")
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(segments):
        made = Annotation()
        for track, (speaker, start, stop) in enumerate(segments):
            made[Segment(start, stop), track] = speaker
        return made.support()  # else a speaker can overlap himself, and counts twice

    folder = data_folder / "AMI_debug"
    paths = prepare_ami_sd(folder, tmp_path)
    for split, file in zip(paths, ("train", "development", "test")):
        records = manifest.read(paths[split])
        truth = read_rttm(folder / f"debug.{file}.rttm")
        regions = read_uem(folder / f"debug.{file}.uem")
        for kind, hypotheses in degraded(records).items():
            write_rttm(hypotheses, tmp_path / "hyp.rttm")
            found = read_rttm(tmp_path / "hyp.rttm")
            ours = errors_of(records, {n: found.get(n, []) for n in records}, collar)
            metric = DiarizationErrorRate(collar=2 * collar)  # of both sides
            for name in records:
                uem = Timeline([Segment(*region) for region in regions[name]])
                metric(
                    annotation(truth[name]), annotation(found.get(name, [])), uem=uem
                )
            assert ours.rate == pytest.approx(abs(metric), abs=1e-6), (split, kind)
            assert ours.rate < 1e-6 or kind != "exact"
