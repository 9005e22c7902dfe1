"""Log posteriors of a frame classifier as an upstream, for decoders such as Kaldi's.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from pathlib import Path

import torch

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import UserError
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.inference.loading import load
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.terminal.messages import excerpt

#: The smallest probability, so that its logarithm is finite.
TINY = 1e-38


class PosteriorsError(UserError, ValueError):
    """A run that has no posteriors, or priors that do not fit it."""


class Posteriors(Upstream):
    """Log posteriors of labels in each frame, or scaled likelihoods.

    As an upstream it goes wherever features go, for example into the formats of
    ``s3prl-sb extract``.

    Arguments
    ---------
    model : s3prl_sb.inference.frame_labeller.FrameLabeller
        Classifier with one label per frame.
    priors : dict, optional
        Labels to their counts of frames, in the order of the columns; see
        :func:`read_priors`. The logarithm of each label's share is subtracted: a hybrid
        recognizer takes p(x | label) ~ p(label | x) / p(label). Labels that the
        classifier does not know have the lowest value. Default: nothing is subtracted,
        and the columns are the sorted labels of the classifier.

    Note
    ----
    A label with a count of 0 cannot be recognized: nothing is subtracted from its
    posterior. Kaldi's ``nnet-logprob`` floors its prior instead, with the same effect.

    Example
    -------
    >>> # posteriors = Posteriors(load("exported"), read_priors("counts.txt"))
    """

    num_layers = 1

    def __init__(self, model, priors=None):
        super().__init__(freeze=True)
        is_labeller = isinstance(model, FrameLabeller)
        if not is_labeller or model.hparams.threshold is not None:
            raise PosteriorsError(
                "Only a classifier with one label per frame has posteriors: one of "
                "TIMIT/phones, for example."
            )
        upstream, labels = model.mods.upstream, list(model.hparams.labels)
        self.model, self.frame_labels = model, model.frame_labels
        self.sample_rate, self.input_size = upstream.sample_rate, upstream.input_size
        self.stride = max(1, round(model.frame_seconds * upstream.sample_rate))
        self.labels = list(priors or labels)
        self.output_size = len(self.labels)
        unknown = sorted(set(labels) - set(self.labels))
        if unknown:
            raise PosteriorsError(
                f"the priors lack labels of the classifier: {', '.join(unknown[:10])}. "
                "Give a line for each label."
            )
        columns = {label: number for number, label in enumerate(labels)}
        self.columns = [columns.get(label, -1) for label in self.labels]
        counts = [] if priors is None else [priors[label] for label in self.labels]
        shares = torch.tensor(counts, dtype=torch.float64) / max(sum(counts), 1)
        logs = shares.where(shares > 0, 1.0).log().float()
        self.register_buffer("log_priors", logs, persistent=True)

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return self.frame_labels.frames(samples / self.sample_rate)

    def forward(self, wavs, wav_lens=None):
        """See :meth:`Upstream.forward`."""
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        logs = self.model.label_batch(wavs, wav_lens).clamp_min(TINY).log()
        lowest = logs.new_full((*logs.shape[:2], 1), math.log(TINY))
        logs = torch.cat([logs, lowest], -1)[..., self.columns]
        if len(self.log_priors):
            logs = logs - self.log_priors
        frames = [self.frames(round(float(n) * wavs.shape[1])) for n in wav_lens]
        return [logs], torch.tensor(frames, device=logs.device) / max(frames)


def load_posteriors(folder, priors=None, trust=False, device="cpu"):
    """Returns the log posteriors of a run or an export.

    Arguments
    ---------
    folder : str
        The run or the export.
    priors : str, optional
        File of :func:`read_priors`.
    trust : bool
        See :func:`~s3prl_sb.inference.loading.load`.
    device : str
        Device of the model.

    Returns
    -------
    Posteriors
    """
    model = load(folder, trust=trust, run_opts={"device": device})
    return Posteriors(model, priors and read_priors(priors))


def read_priors(path: str | Path) -> dict[str, float]:
    """Reads counts of labels: lines of a label and a count.

    Arguments
    ---------
    path : str
        The file. A line ``[ 12 0 7 ]``, as Kaldi's ``analyze-counts`` writes it, has
        the counts of the labels "0", "1", "2".

    Returns
    -------
    dict
        Labels to counts, in the order of the file.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("[ 12 0 7 ]")
    ...     file.flush()
    ...     read_priors(file.name)
    {'0': 12.0, '1': 0.0, '2': 7.0}
    """
    counts: dict[str, float] = {}
    for place, line in manifest.lines(path):
        fields = line.split()
        if fields[0] == "[" and fields[-1] == "]":
            pairs = [(str(number), count) for number, count in enumerate(fields[1:-1])]
        else:
            pairs = [(" ".join(fields[:-1]), fields[-1])]
        for label, count in pairs:
            try:
                number = float(count)
                if not 0 <= number < math.inf or not label or label in counts:
                    raise ValueError
            except ValueError:
                raise manifest.ManifestError(
                    f"{place}: {excerpt(label)} {excerpt(count)} is not a label "
                    "of its own and its count of frames."
                ) from None
            counts[label] = number
    if not any(counts.values()):
        raise manifest.ManifestError(f"{path}: counts no frame of any label.")
    return counts
