"""DeCoAR 2.0: a Transformer that reconstructs slices of features.

Paper: Ling and Liu, "DeCoAR 2.0: Deep Contextualized Acoustic Representations
with Vector Quantization", https://arxiv.org/abs/2012.06659. Reproduces S3PRL's
``upstream/decoar2``.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, initialize, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import fairseq_weights
from s3prl_sb.lobes.networks.encoder import Encoder
from s3prl_sb.lobes.networks.transformer import TransformerConfig
from s3prl_sb.lobes.upstreams.apc import AUDIO, complete, held
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.features import KaldiFeatures

#: Of these the network consists; quantizer and reconstruction are pre-training's.
USED = re.compile(r"(post_extract_proj|encoder)\.")
#: Entries of :class:`TransformerConfig` that may differ.
SIZES = {
    "hidden_size": 768,
    "ffn_size": 3072,
    "num_layers": 12,
    "num_heads": 12,
    "position_kernel": 128,
    "position_groups": 16,
}


class FeatureEncoder(nn.Module):
    """The whole network: the encoder of wav2vec 2.0 over features.

    Arguments
    ---------
    input_size : int
        Of the features.
    config : TransformerConfig
        Of the encoder.

    Example
    -------
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4)
    >>> network = FeatureEncoder(80, config).eval()
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 32], [9, 32], [9, 32]]
    """

    def __init__(self, input_size, config):
        super().__init__()
        self.config = config
        self.projection = nn.Linear(input_size, config.hidden_size)
        self.encoder = Encoder(config)

    def reset_parameters(self, seed=0):
        """Initial values for training from scratch.

        Arguments
        ---------
        seed : int
            Equal seeds give equal weights, in every process.
        """
        initialize(self, seed)
        random = torch.Generator().manual_seed(seed)
        for module in self.encoder.positions.convolutions:
            std = math.sqrt(4 / (module.kernel_size[0] * module.out_channels))
            nn.init.normal_(module.weight, std=std, generator=random)

    def forward(self, x, frames):
        """Hidden states, one at a time.

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Frames of each utterance.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size]: the input of every layer, then the
            output of the last.
        """
        x = F.dropout(self.projection(x), self.config.input_dropout, self.training)
        yield from self.encoder(x, frames)


class Decoar2(Upstream):
    """DeCoAR 2.0.

    Its hidden states are the input of every Transformer layer and the output
    of the last: ``num_layers`` is one more than the layers. It sees every
    second frame of the features.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own sizes. None: a
        random network of ``config``.
    config : dict, optional
        Entries of ``Decoar2.base`` that differ: sizes, and under ``audio``
        arguments of :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`.
        With ``source``, what its checkpoint does not say: ``num_heads`` where
        they are not 12.
    freeze : bool
        No training.
    precision : str
        "fp32", "bf16" or "fp16"; features are computed in fp32.
    adapter : dict, optional
        Train only small adapters: ``{"kind": "lora", "rank": 8}``.
    seed : int
        Of the random network's weights.

    Note
    ----
    S3PRL loads checkpoints of one size, and what they lack stays random. Here
    sizes are those of the checkpoint, whose encoder must be whole.

    Example
    -------
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Decoar2(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 49, 32]))
    """

    packed = True
    #: What ``config`` changes.
    base = {**SIZES, "audio": AUDIO}

    def __init__(
        self,
        source=None,
        config=None,
        freeze=True,
        precision="fp32",
        adapter=None,
        seed=0,
    ):
        super().__init__(freeze, precision, adapter)
        base, weights = self.base, None
        if source is not None:
            base, weights = read_source(source, read_decoar2)
        self.config = complete(base, config or {})
        self.features = KaldiFeatures(**self.config["audio"])
        transformer = TransformerConfig(**{name: self.config[name] for name in SIZES})
        self.network = build(
            lambda: FeatureEncoder(self.features.output_size, transformer),
            weights,
            source,
            seed,
        )
        self.stride = 2 * self.features.stride
        self.output_size = self.config["hidden_size"]
        self.num_layers = self.config["num_layers"] + 1

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.features.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return (self.features.frames(samples) + 1) // 2

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        pieces = [self.features.encode(wav[None])[0][0, ::2] for wav in wavs]
        x = torch.cat(pieces).to(self.network.projection.weight.dtype)
        return self.network(x, [len(piece) for piece in pieces])


def read_decoar2(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        As of :class:`Decoar2`, complete; sizes are those of the weights.
    weights : dict
        Of :class:`FeatureEncoder`.

    Raises
    ------
    CheckpointError
        If the file is of another family.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    model = states.get("model")
    model = bare(model) if isinstance(model, dict) else {}
    parts = ("post_extract_proj", "encoder.layers.0.fc1")
    needed = [f"{part}.weight" for part in parts]
    if not set(needed) <= set(model) or "feature_extractor" in str(list(model)):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of DeCoAR 2.0: these have 'model' with "
            f"{', '.join(needed)}, and no feature_extractor. It holds {held(states)}."
        )
    used = {name: tensor for name, tensor in model.items() if USED.match(name)}
    weights = fairseq_weights(used, {"layer": "transformer"})
    convolution = weights.get("encoder.positions.convolutions.0.weight")
    if convolution is None:
        raise CheckpointError(f"'{path}' lacks the weights of encoder.pos_conv.0.")
    hidden_size, num_mel_bins = model["post_extract_proj.weight"].shape
    layers = {name.split(".")[2] for name in weights if ".layers." in name}
    config = {
        "hidden_size": hidden_size,
        "ffn_size": len(model["encoder.layers.0.fc1.weight"]),
        "num_layers": len(layers),
        "position_kernel": convolution.shape[2],
        "position_groups": hidden_size // convolution.shape[1],
        "audio": {"num_mel_bins": num_mel_bins},
    }
    return complete(Decoar2.base, config), weights
