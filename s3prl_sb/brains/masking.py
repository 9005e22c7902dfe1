"""Enhancement and separation by masks over spectra.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
from pathlib import Path

import speechbrain as sb
import torch

from s3prl_sb.brains import audio_examples
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.distributed import share
from s3prl_sb.dataio.mixtures import MixtureAndSources, sources_of
from s3prl_sb.dataio.sources import LoadSources
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.lobes.heads.subsampling import factor_of
from s3prl_sb.lobes.permutation_invariant import permutation_invariant_distance
from s3prl_sb.lobes.spectral_masks import (
    COMPRESSIONS,
    estimated_masks,
    masked_magnitudes,
    separated,
    target_magnitudes,
)
from s3prl_sb.lobes.stft import STFT, align, hop_for
from s3prl_sb.metrics import perceptual
from s3prl_sb.metrics.contributions import of_rows
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.separation import best_permutation, si_sdr
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv

logger = logging.getLogger(__name__)

EXAMPLES = 4  # number of utterances whose waveforms are written
#: Items of an example.
KEYS = ["id", "sig", "waveforms"]
#: Metrics of the optional packages, and the metric that takes their place.
PERCEPTUAL = {"pesq": perceptual.pesq, "stoi": perceptual.stoi}
ALWAYS = "si_sdr"


class MaskingBrain(SSLBrain):
    """Brain that estimates a mask for each source, in any order of the sources.

    The features are aligned with the frames of a short-time Fourier transform, see
    :func:`~s3prl_sb.lobes.stft.align`. Test utterances are separated whole and measured
    one by one, so the memory does not grow with their number. With one source this is
    enhancement.

    Arguments
    ---------
    num_sources : int
        Number of sources.
    **kwargs
        See :class:`~s3prl_sb.brains.base.SSLBrain`. The module ``head`` maps aligned
        features and relative lengths to [batch, frames, sources * bins]. ``hparams``
        have ``n_fft``, ``win_length``, ``hop_length`` (None: from the stride of the
        upstream), ``mask_activation``, ``mask_target``, ``mask_loss`` and
        ``compression``.

    Raises
    ------
    RecipeError
        For an upstream over features, for a target that cannot be compressed, and for
        checkpoints that another metric has chosen.

    Note
    ----
    S3PRL measures all utterances on the estimate of its mask, as here, after its
    suppression of impulses, see :func:`~s3prl_sb.lobes.spectral_masks.separated`.
    """

    metric = "si_sdr_improvement"
    validated = ()  #: perceptual metrics of the validation set; the test has all

    def __init__(self, num_sources: int, **kwargs):
        super().__init__(**kwargs)
        self.num_sources = num_sources
        self.stft = stft_of(vars(self.hparams), self.upstream)
        if self.metric in PERCEPTUAL and not perceptual.available(self.metric):
            logger.warning(
                "The checkpoint is chosen by %s, since %s is not installed. To choose "
                "it as SUPERB-SG does: pip install 's3prl_sb[se]', and begin again.",
                ALWAYS,
                self.metric,
            )
            self.metric = ALWAYS
        if type(self).metric in PERCEPTUAL and self.checkpointer is not None:
            check_choice(self.checkpointer, type(self).metric, self.metric)

    def compute_forward(self, batch, stage):
        """Returns masks [batch, frames, sources, bins], spectra [batch, 1 + sources,
        frames, bins], that of the mixture first, and numbers of frames [batch]."""
        features, lens = self.compute_features(batch.to(self.device))
        waveforms, samples = self._waveforms(batch)
        spectra, frames = self.stft(waveforms), self.stft.frames(samples)
        stride, hop = self.upstream.stride, self.stft.hop_length
        features = align(features, lens, frames, hop, stride)
        output = self.modules["head"](features, frames / frames.max())
        activation = self.hparams.mask_activation
        return estimated_masks(output, self.num_sources, activation), spectra, frames

    def _waveforms(self, batch):
        """Returns waveforms [batch, 1 + sources, samples], and their true lengths."""
        waveforms, lens = batch.waveforms
        samples = (lens.double() * waveforms.shape[1]).round().long()
        return waveforms.mT, samples

    def compute_objectives(self, predictions, batch, stage):
        """Returns the loss; in evaluation, also separates and measures."""
        masks, spectra, frames = predictions
        mixture, sources = spectra[:, 0], spectra[:, 1:].transpose(1, 2)
        targets = target_magnitudes(mixture, sources, self.hparams.mask_target)
        compression = self.hparams.compression
        compress, _ = COMPRESSIONS[compression]
        loss, _ = permutation_invariant_distance(
            masked_magnitudes(masks, mixture, compression),
            compress(targets),
            frames,
            self.hparams.mask_loss,
        )
        if stage == sb.Stage.TRAIN:
            return share(loss, torch.tensor(len(batch.id), device=loss.device))
        waveforms, samples = self._waveforms(batch)
        for row, name in enumerate(batch.id):
            wavs = waveforms[row, :, : samples[row]]
            self.collect(name, masks[row, : frames[row]], wavs, stage)
        return loss

    def collect(self, name, masks, waveforms, stage):
        """Separates an utterance, and keeps its measures.

        Arguments
        ---------
        name : str
            Id of the utterance.
        masks : torch.Tensor
            [frames, sources, bins].
        waveforms : torch.Tensor
            [1 + sources, samples], the mixture first.
        stage : sb.Stage
            VALID or TEST.
        """
        estimates = separated(
            masks, waveforms[0], self.stft, self.hparams.compression
        ).cpu()
        mixture, references = waveforms[0].cpu(), waveforms[1:].cpu()
        estimates = estimates[best_permutation(estimates, references)]
        is_test = stage == sb.Stage.TEST
        names = [n for n in PERCEPTUAL if is_test or n in self.validated]
        rate = self.upstream.sample_rate
        row = measured(estimates, references, rate, names, name)
        mixed = mixture.expand_as(references)
        before = measured(mixed, references, rate, names if is_test else [], name)
        row["si_sdr_improvement"] = row["si_sdr"] - before["si_sdr"]
        self.rows[name] = row | {f"input_{key}": v for key, v in before.items()}
        self.seconds[name] = len(mixture) / rate
        if is_test and len(self.examples) < EXAMPLES:
            self.examples[name] = {"mixture": mixture} | {
                f"{kind}{number}": wav
                for kind, wavs in (("estimate", estimates), ("clean", references))
                for number, wav in numbered(wavs)
            }

    def start_stage(self, stage):
        """Starts collecting measures."""
        self.rows, self.seconds, self.examples = {}, {}, {}

    def stage_stats(self, stage):
        """Returns means over the utterances that a metric is defined for."""
        stats = {}
        for name in dict.fromkeys(n for row in self.rows.values() for n in row):
            values = [row[name] for row in self.rows.values()]
            values = [value for value in values if math.isfinite(value)]
            if values:
                stats[name] = sum(values) / len(values)
        if self.metric not in stats:
            part = "validation" if stage == sb.Stage.VALID else "test"
            raise RecipeError(
                f"{self.metric} is undefined for every utterance of the {part} set: "
                "are they silent, or too short? Give it utterances of a second or more."
            )
        return stats

    def measures(self):
        """Returns the metrics of each utterance."""
        return Measures.build(self.unit, list(self.rows), of_rows(self.rows.values()))

    def write_predictions(self):
        """Writes ``predictions.csv`` and a few audio examples."""
        folder = Path(self.hparams.output_folder)
        columns = list(dict.fromkeys(n for row in self.rows.values() for n in row))
        rows = [
            [name, f"{self.seconds[name]:.3f}", *(cell(row[c]) for c in columns)]
            for name, row in sorted(self.rows.items())
        ]
        write_csv(folder / "predictions.csv", ["id", "seconds", *columns], rows)
        for name, waveforms in self.examples.items():
            audio_examples.write(folder, name, waveforms, self.upstream.sample_rate)

    def interface(self):
        """Returns an enhancer, or a separator."""
        kind = "Enhancer" if self.num_sources == 1 else "Separator"
        return {
            "class": f"s3prl_sb.inference.separator.{kind}",
            "head": {"num_classes": self.num_sources * self.stft.bins},
            "hparams": {
                "num_sources": self.num_sources,
                "n_fft": self.stft.n_fft,
                "win_length": self.stft.win_length,
                "hop_length": self.stft.hop_length,
                "mask_activation": self.hparams.mask_activation,
                "compression": self.hparams.compression,
            },
        }


def check_choice(checkpointer, wanted, metric):
    """Raises an error for a run whose checkpoints another metric has chosen.

    Arguments
    ---------
    checkpointer : s3prl_sb.brains.checkpointer.AtomicCheckpointer
        Checkpoints of the run.
    wanted : str
        Metric of the task, among :data:`PERCEPTUAL`.
    metric : str
        The same if its package is installed, otherwise :data:`ALWAYS`.

    Raises
    ------
    RecipeError
        If the package has come or gone since.
    """
    metas = (checkpoint.meta for checkpoint in checkpointer.list_checkpoints())
    chosen = {wanted if wanted in meta else ALWAYS for meta in metas if ALWAYS in meta}
    if chosen - {metric}:
        folder = checkpointer.checkpoints_dir
        way_out = (
            f"{wanted} is installed now: choose another output_folder."
            if metric == wanted
            else f"{wanted} is not installed now: pip install 's3prl_sb[se]'."
        )
        raise RecipeError(
            f"'{folder}' has checkpoints that {chosen.pop()} has chosen, and {way_out}"
        )


def head_for(hparams, num_sources):
    """Returns the head of a recipe, for a mask of each source.

    Arguments
    ---------
    hparams : dict
        ``head``, and what :func:`stft_of` needs.
    num_sources : int
        Number of sources.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    RecipeError
        For a head that leaves out frames.
    """
    bins = stft_of(hparams, hparams["upstream_model"]).bins
    head = hparams["head"](num_classes=num_sources * bins)
    if factor_of(head) > 1:
        raise RecipeError(
            f"head: it returns one of {factor_of(head)} frames, and each needs a mask. "
            "Choose a head that keeps all frames, such as --head rnn."
        )
    return head


def measured(estimates, references, rate, names, utterance):
    """Returns the mean metrics of the sources of an utterance.

    Arguments
    ---------
    estimates, references : torch.Tensor
        [sources, samples], in the same order.
    rate : int
        Sample rate, Hz.
    names : list of str
        Metrics among :data:`PERCEPTUAL`.
    utterance : str
        Name for messages.

    Returns
    -------
    dict
        Names to floats, NaN where a metric is undefined; without those whose package
        is missing.
    """
    row = {}
    for name in filter(perceptual.available, names):
        scores = [
            PERCEPTUAL[name](estimate, reference, rate, utterance)
            for estimate, reference in zip(estimates, references)
        ]
        scores = [score for score in scores if score is not None]
        row[name] = sum(scores) / len(scores) if scores else math.nan
    row["si_sdr"] = si_sdr(estimates, references).nanmean().item()
    return row


def numbered(waveforms):
    """Returns pairs of "_1", "_2" and so on and a waveform; "" for a single one.

    Example
    -------
    >>> numbered(["one"]), numbered(["one", "two"])
    ([('', 'one')], [('_1', 'one'), ('_2', 'two')])
    """
    if len(waveforms) == 1:
        return [("", waveforms[0])]
    return [(f"_{number}", wav) for number, wav in enumerate(waveforms, 1)]


def cell(value):
    """Formats a measure of an utterance; empty if it is undefined."""
    return f"{value:.4f}" if math.isfinite(value) else ""


def stft_of(hparams, upstream):
    """Returns the transform of a recipe.

    Arguments
    ---------
    hparams : dict
        ``n_fft``, ``win_length``, ``hop_length``, ``mask_target``, ``compression``.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream, whose stride is the default hop, and whose rate is that of the
        waveforms.

    Returns
    -------
    s3prl_sb.lobes.stft.STFT

    Raises
    ------
    RecipeError
        See :class:`MaskingBrain`.
    s3prl_sb.lobes.stft.STFTError
        For impossible sizes.
    """
    if upstream.input_size:
        raise RecipeError(
            "upstream: it takes the features of other programs, and masks need the "
            "waveforms. Choose an upstream over waveforms."
        )
    if hparams["mask_target"] == "psm" and hparams["compression"] != "none":
        raise RecipeError(
            f"mask_target: psm may be negative, and compression: "
            f"{hparams['compression']} is for magnitudes. Give mask_target: npsm, or "
            "compression: none."
        )
    win_length = hparams["win_length"] or hparams["n_fft"]
    hop = hparams["hop_length"] or hop_for(upstream.stride, win_length)
    return STFT(hparams["n_fft"], win_length, hop)


def mixture_pipes():
    """Returns the pipes that add the waveforms of mixtures and sources to ``sig``."""
    return [LoadSources(), MixtureAndSources()]


def mixture_splits(hparams):
    """Returns the three datasets of a recipe, and the number of sources.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``,
        whose records have ``sources``; ``train_pipes`` and ``eval_pipes``;
        ``train_fraction`` or ``train_hours`` for few-shot training.

    Returns
    -------
    splits : dict
        "train", "valid" and "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, whose examples have ``id``,
        ``sig`` and ``waveforms``.
    num_sources : int
        Number of sources.
    """
    records = read_splits(hparams)
    return make_splits(hparams, records, mixture_pipes(), KEYS), sources_of(records)
