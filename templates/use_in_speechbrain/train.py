#!/usr/bin/env python3
"""A plain SpeechBrain project over a self-supervised model.

> python train.py hparams/train.yaml --data_folder DIR

DIR has a folder for each class, <label>/<recording>.wav: words, speakers, moods.

This file does not use s3prl_sb. The yaml builds its lobe with !new:, which maps
waveforms to features; the Brain, the data and the loop are plain SpeechBrain.

Authors
 * Me, 2026
"""

import sys
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.dataset import DynamicItemDataset


class WordBrain(sb.Brain):
    """Word classifier."""

    def compute_forward(self, batch, stage):
        """Returns log probabilities [batch, words] of a batch."""
        batch = batch.to(self.device)
        wavs, wav_lens = batch.sig
        # [batch, frames, size], with the frames of the padded batch, so that wav_lens
        # remain the relative lengths. Padding does not change the features.
        features = self.modules.ssl(wavs, wav_lens)
        pooled = self.modules.pooling(features, wav_lens)  # [batch, 1, 2 * size]
        return self.hparams.log_softmax(self.modules.classifier(pooled).squeeze(1))

    def compute_objectives(self, predictions, batch, stage):
        """Returns the negative log-likelihood of log probabilities [batch, words]."""
        if stage != sb.Stage.TRAIN:
            self.errors += (predictions.argmax(-1) != batch.label_encoded).tolist()
        return torch.nn.functional.nll_loss(predictions, batch.label_encoded)

    def on_stage_start(self, stage, epoch=None):
        """Starts counting errors."""
        self.errors = []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs the metrics, and keeps the best checkpoint."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
            return
        stats = {"loss": stage_loss, "error": sum(self.errors) / len(self.errors)}
        if stage == sb.Stage.VALID:
            self.checkpointer.save_and_keep_only(meta=stats, min_keys=["error"])
            self.hparams.train_logger.log_stats(
                {"epoch": epoch}, {"loss": self.train_loss}, valid_stats=stats
            )
        else:
            self.hparams.train_logger.log_stats({"test": "best"}, test_stats=stats)


def dataio_prepare(hparams):
    """Makes datasets of a folder of labels; three of every five recordings train.

    Arguments
    ---------
    hparams : dict
        ``data_folder``, ``sample_rate`` and ``label_encoder``.

    Returns
    -------
    dict
        "train", "valid", "test" to datasets with ``id``, ``sig``, ``label_encoded``.

    Raises
    ------
    ValueError
        If the folder has another layout.
    """
    records = {"train": {}, "valid": {}, "test": {}}
    recordings = find_recordings(hparams["data_folder"])
    for folder, wavs in recordings.items():
        for number, wav in enumerate(wavs):
            split = ("train", "train", "train", "valid", "test")[number % 5]
            name = f"{folder.name}-{wav.stem}"
            records[split][name] = {"wav": str(wav), "label": folder.name}
    datasets = {name: DynamicItemDataset(split) for name, split in records.items()}

    @sb.utils.data_pipeline.takes("wav")
    @sb.utils.data_pipeline.provides("sig")
    def audio_pipeline(wav):
        # The lobe takes waveforms in [-1, 1] at its sample_rate, without normalisation
        # or features. It does the preprocessing of its paper.
        sig, rate = sb.dataio.audio_io.load(wav)
        if rate != hparams["sample_rate"]:
            raise ValueError(f"{wav} has {rate} Hz: resample it first")
        return sig.mean(0)

    encoder = hparams["label_encoder"]

    @sb.utils.data_pipeline.takes("label")
    @sb.utils.data_pipeline.provides("label_encoded")
    def label_pipeline(label):
        return encoder.encode_label(label)

    everything = list(datasets.values())
    sb.dataio.dataset.add_dynamic_item(everything, audio_pipeline)
    sb.dataio.dataset.add_dynamic_item(everything, label_pipeline)
    sb.dataio.dataset.set_output_keys(everything, ["id", "sig", "label_encoded"])
    labels = [folder.name for folder in recordings]  # sorted, also after a resume
    if len(labels) != hparams["num_words"]:
        raise ValueError(
            f"{hparams['data_folder']} has {len(labels)} folders of words: give "
            f"--num_words {len(labels)}"
        )
    encoder.expect_len(len(labels))
    encoder.update_from_iterable(labels)
    return datasets


def find_recordings(data_folder):
    """Returns ``{folder of a label: its recordings}``.

    Arguments
    ---------
    data_folder : str
        Folder that has a folder for each label.

    Returns
    -------
    dict
        Sorted by names.

    Raises
    ------
    ValueError
        If the folder has another layout.
    """
    place = Path(data_folder)
    layout = f"{place} should hold <label>/<recording>.wav"
    if not place.is_dir():
        raise ValueError(f"{place}: no such folder. Give --data_folder DIR.")
    folders = sorted(path for path in place.iterdir() if path.is_dir())
    found = {
        folder: sorted(p for p in folder.iterdir() if p.suffix.lower() == ".wav")
        for folder in folders
    }
    found = {folder: wavs for folder, wavs in found.items() if wavs}
    if not found:
        loose = len([path for path in place.iterdir() if path.suffix.lower() == ".wav"])
        there = f"{loose} .wav files outside of any" if loose else "none"
        raise ValueError(
            f"{layout}: a folder of .wav files for each label. There is {there}."
        )
    most = max(map(len, found.values()))
    if most < 5:  # the fourth of five is for validation, the fifth for the test
        raise ValueError(
            f"{layout}: five recordings or more of a label, for training, "
            f"validation and test. There are {most} at most."
        )
    return found


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    sb.utils.distributed.ddp_init_group(run_opts)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    try:
        datasets = dataio_prepare(hparams)
    except ValueError as error:
        sys.exit(f"train.py: {error}")
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)

    if not hparams["ssl"].freeze:  # else every checkpoint would hold a copy
        hparams["checkpointer"].add_recoverable("ssl", hparams["ssl"])
    brain = WordBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        datasets["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    brain.evaluate(
        datasets["test"],
        min_key="error",
        test_loader_kwargs=hparams["test_dataloader_opts"],
    )
