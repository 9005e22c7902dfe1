"""PANNs' CNN14: a convolutional network for the sounds of AudioSet.

Paper: Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio
Pattern Recognition", TASLP 2020, https://arxiv.org/abs/1912.10211.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import bare, our_name
from s3prl_sb.lobes.networks.cnn14 import HIGHEST, Cnn14, Cnn14Config
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Weights that the published networks have, and networks of other families do not.
MARKS = ("logmel_extractor.melW", "conv_block6.conv2.weight", "fc1.weight")
#: Weights that are not part of our network: the Fourier transform as convolutions, the
#: classifier of 527 classes.
DROPPED = re.compile(r"spectrogram_extractor\.stft\.conv_(real|imag)\.|fc_audioset\.")
#: Frequencies of the spectrum, and the sample rate that has 32 ms of them.
RATES = {rate * 32 // 1000 // 2 + 1: rate for rate in HIGHEST}
EMBEDDINGS = ("clip", "frame")


def _block(match):
    return f"blocks.{int(match[1]) - 1}."


#: The published names of the weights, and ours.
NAMES = {r"^logmel_extractor\.melW$": "mel", r"^conv_block(\d+)\.": _block}


def read_panns(path):
    """Reads a checkpoint of CNN14.

    Arguments
    ---------
    path : str
        File of the authors; or its weights alone, also as safetensors.

    Returns
    -------
    config : dict
        Entries of :class:`~s3prl_sb.lobes.networks.cnn14.Cnn14Config`.
    weights : dict
        Weights of :class:`~s3prl_sb.lobes.networks.cnn14.Cnn14`.

    Raises
    ------
    CheckpointError
        If the file is of another network.
    """
    states = as_dict(read(path))
    states = bare(as_dict(states.get("model", states)))
    if not set(MARKS) <= states.keys():
        raise CheckpointError(
            f"'{path}' is not a checkpoint of PANNs' CNN14: these have "
            f"{', '.join(MARKS)}. Its keys: " + ", ".join(sorted(map(str, states))[:12])
        )
    bins = len(values.single(states, MARKS[0]))
    if bins not in RATES:
        raise CheckpointError(
            f"'{path}' has a mel matrix of {bins} frequencies; CNN14 has "
            f"{' or '.join(map(str, RATES))}, for {' or '.join(map(str, HIGHEST))} Hz"
        )
    weights = {
        our_name(name, NAMES): tensor
        for name, tensor in states.items()
        if not DROPPED.match(name)
    }
    channels = [  # a missing one has the published size, for the error
        len(weights.get(f"blocks.{i}.conv2.weight", range(published)))
        for i, published in enumerate(Cnn14Config().channels)
    ]
    return {"sample_rate": RATES[bins], "channels": channels}, weights


class Panns(PretrainedUpstream):
    """CNN14 of PANNs.

    It has two hidden states, of a frame each 320 ms: the output of the last
    convolutions, the mean over bands, and the embedding of 2048 values that PANNs are
    known for. The embedding of ``Cnn14`` is one of the whole clip, which all its
    frames repeat: its mean over time is the published value. ``layers: 0`` is for tasks
    that need what happens when.

    Arguments
    ---------
    source : str, optional
        Checkpoint, or its address; it brings its own sizes and sample rate. None: a
        random network of ``config``.
    config : dict, optional
        Entries of :class:`~s3prl_sb.lobes.networks.cnn14.Cnn14Config` that differ from
        its defaults; only without ``source``.
    embedding : str
        "clip": the maximum and the mean over the clip, embedded, as in ``Cnn14``.
        "frame": those over three frames, as in ``Cnn14_DecisionLevelMax``. Files of the
        two have the same names and shapes.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    The original pads the clips of a batch to the longest. Here an utterance has its
    own maximum and mean. Audio of less than 310 ms, for which the original fails, is
    padded with zeros to that. SpecAugment is part of the original network in training,
    but not here.

    Example
    -------
    >>> panns = Panns(config={"channels": [4] * 6})
    >>> hidden_states, lens = panns(torch.randn(2, 64000))
    >>> panns.sample_rate, panns.stride, hidden_states[1].shape
    (32000, 10240, torch.Size([2, 6, 4]))
    """

    packed = True
    Config, Network = Cnn14Config, Cnn14
    unknown_entry = "Unknown in config"
    num_layers = 2
    read = staticmethod(read_panns)

    def __init__(self, source=None, config=None, embedding="clip", **options):
        if embedding not in EMBEDDINGS:
            raise ValueError(
                f"Unknown embedding '{embedding}'. Known: {', '.join(EMBEDDINGS)}"
            )
        self.embedding = embedding
        super().__init__(source, config, **options)
        self.sample_rate = self.config.sample_rate
        self.output_size = self.config.channels[-1]

    @property
    def front_end(self):
        """See :attr:`PretrainedUpstream.front_end`."""
        return self.network

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        frames = self.network(wavs)
        yield torch.cat(frames)
        if self.embedding == "clip":
            repeats = torch.tensor([len(x) for x in frames], device=frames[0].device)
            yield self.network.of_clips(frames).repeat_interleave(repeats, dim=0)
        else:
            yield self.network.of_frames(frames)
