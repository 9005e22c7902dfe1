"""Voice conversion: a target speaker's spectrogram from features of any speech.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.debugging import spread
from s3prl_sb.brains.distributed import share
from s3prl_sb.corpora.vcc2020 import F0_RANGES
from s3prl_sb.dataio.target_spectrogram import TargetSpectrogram
from s3prl_sb.lobes.mel import log_mel
from s3prl_sb.metrics.contributions import error_rate, of_rows
from s3prl_sb.metrics.conversion import (
    averages,
    common_band,
    conversion_metrics,
    measurable,
)
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.spectral_distance import warped_distance
from s3prl_sb.metrics.transcription import Edits
from s3prl_sb.metrics.world import WIDEST, estimate_f0_range
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem

FOLDER = "converted"  # in output_folder
ESTIMATED = 10  # utterances that limits of F0 are estimated from
METRIC = "mel_l1"
NAMED = ("griffin_lim", "upstream", "resemblyzer")  # no folders
DECODINGS = ("free", "forced")  #: what the decoder sees in validation


class ConversionBrain(SSLBrain):
    """Brain that predicts log mel spectrograms of target speakers.

    The loss is the absolute difference of normalized log mel frames (``mel_l1``), over
    true frames. In training, the network sees the true frames before (teacher forcing);
    in validation its own predictions, unless ``valid_decoding`` is ``forced``. In the
    test, all utterances are converted into waveforms in the folder ``converted``, and
    compared with the target speaker's utterances of the same words, if there are any:
    ``mel_l1`` along the best alignment, and the metrics of
    :mod:`s3prl_sb.metrics.conversion`.

    Arguments
    ---------
    records : dict
        Records of the test set, ``{id: record}``, with ``target`` and ``speaker``.
    vocoder : s3prl_sb.lobes.vocoders.Vocoder
        Output of :func:`~s3prl_sb.brains.conversion_parts.vocoder_of`.
    judges : s3prl_sb.inference.judges.Judges, optional
        Judges of words and speakers of converted speech.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` is a
        :class:`~s3prl_sb.lobes.heads.spectrogram.SpectrogramPredictor`. Settings
        ``mel``, ``vocoder`` and ``valid_decoding`` are needed besides.

    Note
    ----
    S3PRL chooses the checkpoint by the MCD of the test set; here it is the loss of the
    validation set. Where a prediction is longer than the target, S3PRL compares the
    padding of the shorter utterances of a batch too; here every utterance is compared
    up to the end of the shorter of the two.
    """

    metric = METRIC
    higher_is_better = False

    def __init__(self, records, vocoder, judges=None, **kwargs):
        super().__init__(**kwargs)
        self.records, self.vocoder, self.judges = records, vocoder, judges
        self.target = TargetSpectrogram(self.hparams.mel)
        self.f0_ranges = dict(F0_RANGES)

    def compute_forward(self, batch, stage):
        """Returns log mel frames [batch, frames, mels] and their numbers [batch]."""
        batch = batch.to(self.device)
        features, lens = self.compute_features(batch)
        forced = stage == sb.Stage.TRAIN or (
            stage == sb.Stage.VALID and self.hparams.valid_decoding == DECODINGS[1]
        )
        targets = batch.mel.data if forced else None
        speakers = getattr(batch, "speaker_embedding", None)
        speakers = speakers and speakers.data
        mels = self.modules["head"](features, lens, targets, speakers)
        return mels, self.network.frames(features, lens).to(self.device)

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in the test, converts the utterances instead."""
        mels, frames = predictions
        if stage == sb.Stage.TEST:
            self.evaluation_loss, self.frames = False, 0
            # Waveforms need the whole precision.
            with torch.autocast("cpu", enabled=False):
                for name, mel, length in zip(batch.id, mels.cpu(), frames.tolist()):
                    self.rows[name] = self.measured(name, mel[:length])
            return mels.new_zeros(())
        targets, lens = batch.mel
        target_frames = (lens * targets.shape[1]).round().long()
        loss, count = masked_l1(self.network, mels, frames, targets, target_frames)
        if stage == sb.Stage.TRAIN:
            return share(loss, count)
        self.frames = int(count)
        self.total += float(loss) * self.frames
        self.compared += self.frames
        return loss

    @property
    def network(self):
        """The head itself, also under DDP."""
        head = self.raw_modules["head"]
        return getattr(head, "module", head)

    def weight(self, batch):
        """Returns the number of frames that the loss is a mean over."""
        return self.frames

    def start_stage(self, stage):
        """Starts collecting."""
        self.total, self.compared, self.rows, self.bands = 0.0, 0, {}, set()

    def measured(self, name, mel):
        """Converts an utterance, writes it, and compares it with its target.

        Arguments
        ---------
        name : str
            Id of the utterance.
        mel : torch.Tensor
            [frames, mels], predicted.

        Returns
        -------
        dict
            Metrics; empty without a target.
        """
        settings, record = self.hparams.mel, self.records[name]
        # As it is written: the rounding is a floor of noise, which the MCD hears.
        wav = quantized(self.vocoder.waveform(mel).detach().cpu())
        values = {}
        if if_main_process():
            place = self.place(name)
            write_waveform(place, wav, settings.sample_rate, name=name)
            values = self.judges.judge(record, place) if self.judges else {}
        if not record.get("target"):
            return values
        truth = self.target.waveform(name, record["target"])
        head = self.network
        sides = [
            head.normalized(m.to(self.device)) for m in (mel, log_mel(truth, settings))
        ]
        rate = settings.sample_rate
        band = common_band(rate, audio_info(record["target"])[0], self.vocoder.band)
        self.bands.add(band)
        options = rate, self.f0_range(record), band
        return {
            METRIC: warped_distance(*(side.cpu() for side in sides)),
            **conversion_metrics(wav.numpy(), truth.numpy(), *options),
            **values,
        }

    def f0_range(self, record):
        """Returns the limits of the fundamental frequency of a target speaker.

        Arguments
        ---------
        record : dict
            Record of the test set.

        Returns
        -------
        (float, float)
            Hz: those of the recipe (``f0_range``), those that are known of the speakers
            of VCC2020, or an estimate from a few targets of the speaker.
        """
        if "mcd" not in measurable():  # pyworld is missing, which has been said
            return WIDEST
        if self.hparams.f0_range:
            return tuple(map(float, self.hparams.f0_range))
        speaker = record["speaker"]
        if speaker not in self.f0_ranges:
            targets = [
                each["target"]
                for each in self.records.values()
                if each["speaker"] == speaker and each["target"]
            ]
            targets = spread(sorted(set(targets)), ESTIMATED)
            wavs = [self.target.waveform(speaker, path).numpy() for path in targets]
            estimate = estimate_f0_range(wavs, self.hparams.mel.sample_rate)
            self.f0_ranges[speaker] = estimate or WIDEST
        return self.f0_ranges[speaker]

    def place(self, name):
        """Returns the path of a converted utterance."""
        folder = Path(self.hparams.output_folder) / FOLDER
        return folder / f"{file_stem(name)}.wav"

    def stage_stats(self, stage):
        """Returns the mean of each metric over utterances; of the loss over frames."""
        if stage == sb.Stage.TEST:
            if self.bands and "mcd" in measurable():
                self.signatures = {"mcd": signature(self.bands)}
            totals = self.judges.totals() if self.judges else {}
            return {**averages(self.rows.values()), **totals}
        return {METRIC: self.total / max(self.compared, 1)}

    def measures(self):
        """Returns the metrics of each utterance, and the errors of its words."""
        entries = of_rows(self.rows.values())
        edits = self.judges.edits() if self.judges else {}
        for name, judged in edits.items():
            each = iter(judged)
            there = [name in row for row in self.rows.values()]
            edits_of = [next(each) if is_there else Edits() for is_there in there]
            entries[name] = error_rate(edits_of)
        if not entries:
            return None
        return Measures.build(self.unit, list(self.rows), entries)

    def write_predictions(self):
        """Writes ``predictions.csv``, with the metrics of each utterance."""
        names = dict.fromkeys(name for row in self.rows.values() for name in row)
        rows = []
        for name, row in sorted(self.rows.items()):
            cells = [row.get(metric) for metric in names]
            cells = ["" if cell is None else f"{cell:.6f}" for cell in cells]
            file = self.place(name)
            speaker = self.records[name].get("speaker") or ""
            rows.append([name, speaker, f"{FOLDER}/{file.name}", *cells])
        path = Path(self.hparams.output_folder) / "predictions.csv"
        write_csv(path, ["id", "speaker", "wav", *names], rows)

    def interface(self):
        """Returns a converter to the target speaker."""
        network = self.network
        return {
            "class": "s3prl_sb.inference.converter.Converter",
            "head": network.sizes,
            "hparams": {
                "mel_settings": dataclasses.asdict(self.hparams.mel),
                "vocoder": absolute(self.hparams.vocoder),
                "vocoder_iterations": self.hparams.vocoder_iterations,
                "speaker_embedding": absolute(self.hparams.speaker_embedding),
            },
        }


def absolute(name):
    """Returns a name as it is, and the path of a folder or a file from any place."""
    if not name or name in NAMED:
        return name
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def signature(bands):
    """Describes the frequencies that MCD and F0 were measured over.

    Arguments
    ---------
    bands : set of float or None
        Bands of all utterances, see
        :func:`~s3prl_sb.metrics.conversion.conversion_metrics`.

    Returns
    -------
    str

    Example
    -------
    >>> signature({None}), signature({7600.0, None})
    ('all frequencies', 'up to 7600 Hz; all frequencies')
    """
    limits = sorted(band for band in bands if band is not None)
    words = [f"up to {limit:g} Hz" for limit in limits]
    return "; ".join(words + ["all frequencies"] * (None in bands))


def quantized(wav):
    """Returns a waveform with the values that a file of 16 bits has.

    Arguments
    ---------
    wav : torch.Tensor
        [samples], full scale at -1 and 1; louder samples stay, so that clipping can be
        reported.

    Returns
    -------
    torch.Tensor
        [samples].

    Example
    -------
    >>> (quantized(torch.tensor([0.3])) * 32768).item()
    9830.0
    """
    return (wav * 32768).round() / 32768


def masked_l1(head, mels, frames, targets, target_frames):
    """Computes the mean absolute difference of normalized log mel frames.

    Arguments
    ---------
    head : SpectrogramPredictor
        Network with the statistics.
    mels, targets : torch.Tensor
        [batch, frames, mels] and [batch, target frames, mels].
    frames, target_frames : torch.Tensor
        [batch], numbers of true frames. Frames that one of the two lacks do not count.

    Returns
    -------
    loss : torch.Tensor
        A scalar.
    count : torch.Tensor
        Number of compared frames, a scalar.

    Example
    -------
    >>> from s3prl_sb.lobes.heads.spectrogram import SpectrogramPredictor
    >>> head = SpectrogramPredictor(4, num_mels=2, hidden_size=4, channels=4)
    >>> lens = torch.tensor([2]), torch.tensor([3])
    >>> masked_l1(head, torch.zeros(1, 2, 2), lens[0], torch.ones(1, 3, 2), lens[1])
    (tensor(1.), tensor(2))
    """
    length = min(mels.shape[1], targets.shape[1])
    counts = torch.minimum(frames, target_frames.to(frames.device))
    mask = torch.arange(length, device=mels.device) < counts[:, None]
    one, other = (head.normalized(each[:, :length]) for each in (mels, targets))
    difference = (one - other).abs().mean(-1)
    count = mask.sum()
    return (difference * mask).sum() / count.clamp_min(1), count
