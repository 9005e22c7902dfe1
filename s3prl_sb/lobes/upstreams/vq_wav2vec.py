"""vq-wav2vec: wav2vec with vector quantization before the aggregator.

Paper: Baevski et al., "vq-wav2vec: Self-Supervised Learning of Discrete Speech
Representations", ICLR 2020, https://arxiv.org/abs/1910.05453. Reproduces S3PRL's
``upstream/vq_wav2vec``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.precision import KeepsPrecision
from s3prl_sb.lobes.networks.quantizer import waveform_codes
from s3prl_sb.lobes.upstreams.wav2vec import (
    ACTIVATIONS,
    FRONT_END,
    Aggregator,
    FrontEnd,
    Wav2Vec,
    Wav2VecConfig,
    group_normed,
    read_wav2vec,
)

#: fairseq's names of the quantizers' weights, and ours.
NAMES = {
    r"^front_end\.": "coder.front_end.",
    r"^quantizer\.(embedding|vars)$": "coder.quantizer.codebook",
    r"^quantizer\.projection\.0\.": "coder.quantizer.projection.",
    r"^quantizer\.projection\.1\.": "coder.quantizer.norm.",
    r"^quantizer\.weight_proj\.(\d+)\.(0\.)?": r"coder.quantizer.projections.\1.",
    r"^quantizer\.weight_proj\.": "coder.quantizer.projections.0.",
}


@dataclasses.dataclass
class VqWav2VecConfig(Wav2VecConfig):
    """Configuration of vq-wav2vec under fairseq's names; defaults: the Gumbel model.

    The other entries are those of
    :class:`~s3prl_sb.lobes.upstreams.wav2vec.Wav2VecConfig`.

    Arguments
    ---------
    vq_type : str
        "gumbel" or "kmeans".
    vq_vars, vq_groups : int
        Number of codes, and of groups of channels.
    vq_depth : int
        Number of linear layers of the Gumbel quantizer.
    vq_temp : list of float
        First and last temperature of pre-training, and its decay.
    combine_groups : bool
        Share the vectors of all groups.
    """

    conv_feature_layers: list = dataclasses.field(
        default_factory=lambda: [*FRONT_END, [512, 1, 1]]
    )
    activation: str = "gelu"
    log_compression: bool = False
    vq_type: str = "gumbel"
    vq_vars: int = 320
    vq_groups: int = 2
    vq_depth: int = 2
    vq_temp: list = dataclasses.field(default_factory=lambda: [2.0, 0.5, 0.999995])
    combine_groups: bool = False


class Quantizer(nn.Module):
    """Base class of quantizers, with a vector for each code of each group.

    Arguments
    ---------
    config : VqWav2VecConfig
        Sizes and options.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.groups, self.count = config.vq_groups, config.vq_vars
        self.size = config.conv_feature_layers[-1][0]
        if self.size % self.groups:
            raise ValueError(f"{self.size} channels are no multiple of vq_groups")
        books = 1 if config.combine_groups else self.groups
        shape = (books, self.count, self.size // self.groups)
        self.codebook = nn.Parameter(torch.empty(shape))

    @property
    def codebooks(self):
        """Vectors of the codes, [groups, codes, size of a group]."""
        return self.codebook.expand(self.groups, -1, -1)

    def vectors(self, codes):
        """[batch, frames, groups] -> [batch, channels, frames]."""
        groups = torch.arange(self.groups, device=codes.device)
        return self.codebooks[groups, codes].flatten(2).transpose(1, 2)


class GumbelQuantizer(Quantizer):
    """Quantizer that selects codes by the scores of a small network.

    Training samples them with the Gumbel softmax, at the last temperature of
    pre-training.

    Example
    -------
    >>> config = VqWav2VecConfig(conv_feature_layers=[[8, 10, 5]], vq_vars=4)
    >>> quantizer = GumbelQuantizer(config)
    >>> _ = nn.init.normal_(quantizer.codebook)
    >>> x = torch.randn(2, 8, 31)
    >>> quantizer.codes(x).shape, quantizer(x).shape
    (torch.Size([2, 31, 2]), torch.Size([2, 8, 31]))
    """

    def __init__(self, config):
        super().__init__(config)
        inner = [2 * self.size] * (config.vq_depth - 1)
        sizes = [self.size, *inner, self.groups * self.count]
        self.projections = nn.ModuleList(map(nn.Linear, sizes, sizes[1:]))

    def scores(self, x):
        """[batch, channels, frames] -> [batch, frames, groups, codes]."""
        x = x.transpose(1, 2)
        for projection in self.projections[:-1]:
            x = ACTIVATIONS[self.config.activation](projection(x))
        return self.projections[-1](x).unflatten(-1, (self.groups, self.count))

    def codes(self, x):
        """[batch, channels, frames] -> [batch, frames, groups]."""
        return self.scores(x).argmax(-1)

    def forward(self, x):
        """[batch, channels, frames] -> the codes' vectors, of the same shape."""
        if not self.training:
            return self.vectors(self.codes(x))
        temperature = self.config.vq_temp[1]
        samples = F.gumbel_softmax(self.scores(x), temperature, hard=True)
        x = torch.einsum("btgv,gvd->btgd", samples, self.codebooks)
        return x.flatten(2).transpose(1, 2)


class KmeansQuantizer(Quantizer):
    """Quantizer that selects the nearest vectors.

    Example
    -------
    >>> config = VqWav2VecConfig(conv_feature_layers=[[8, 10, 5]], vq_vars=4)
    >>> quantizer = KmeansQuantizer(config)
    >>> _ = nn.init.normal_(quantizer.codebook)
    >>> x = torch.randn(2, 8, 31)
    >>> quantizer.codes(x).shape, quantizer(x).shape
    (torch.Size([2, 31, 2]), torch.Size([2, 8, 31]))
    """

    def __init__(self, config):
        super().__init__(config)
        # Only the loss of pre-training updates these.
        self.codebook.requires_grad_(False)
        size = self.size
        self.projection = nn.Conv1d(size, size, 1, groups=self.groups, bias=False)
        self.norm = nn.GroupNorm(self.groups, size)

    def projected(self, x):
        """[batch, channels, frames] -> the same, in the space of the vectors."""
        return group_normed(self.projection(x), self.norm)

    def nearest(self, x):
        """[batch, channels, frames], projected -> codes [batch, frames, groups]."""
        x = x.unflatten(1, (self.groups, -1)).transpose(2, 3)
        exact = "donot_use_mm_for_euclid_dist"  # the other one has errors of 1e-3
        distances = torch.cdist(x, self.codebooks[None], compute_mode=exact)
        return distances.argmin(-1).transpose(1, 2)

    def codes(self, x):
        """[batch, channels, frames] -> [batch, frames, groups]."""
        return self.nearest(self.projected(x))

    def forward(self, x):
        """[batch, channels, frames] -> the codes' vectors, of the same shape, with the
        straight-through gradient."""
        x = self.projected(x)
        return self.vectors(self.nearest(x.detach())) + (x - x.detach())


QUANTIZERS = {"gumbel": GumbelQuantizer, "kmeans": KmeansQuantizer}


class Coder(KeepsPrecision):
    """Front-end and quantizer: from waveforms to codes.

    It stays in fp32 when it is cast, as rounding would change codes. For the same
    reason each waveform runs separately: its codes are exactly the same in any batch.

    Arguments
    ---------
    config : VqWav2VecConfig
        Sizes and options.

    Example
    -------
    >>> from s3prl_sb.lobes.checkpoints.building import build
    >>> config = VqWav2VecConfig(conv_feature_layers=[[8, 10, 5]], vq_vars=4)
    >>> coder = build(lambda: Coder(config)).half()
    >>> x, vectors = coder(torch.randn(2, 160))
    >>> x.shape, vectors.shape, x.dtype
    (torch.Size([2, 8, 31]), torch.Size([2, 8, 31]), torch.float32)
    >>> coder.codes(torch.randn(2, 160)).shape
    torch.Size([2, 31, 2])
    """

    def __init__(self, config):
        super().__init__()
        self.front_end = FrontEnd(config)
        self.quantizer = QUANTIZERS[config.vq_type](config)

    def codes(self, wavs):
        """[batch, samples] -> [batch, frames, groups]."""
        with torch.no_grad(), torch.autocast(wavs.device.type, enabled=False):
            frames = (self.front_end(wav[None]) for wav in wavs)
            return torch.cat([self.quantizer.codes(x) for x in frames])

    def forward(self, wavs):
        """[batch, samples] -> frames and the vectors of their codes, both [batch,
        channels, frames]."""
        with torch.autocast(wavs.device.type, enabled=False):
            frames = [self.front_end(wav[None]) for wav in wavs]
            vectors = [self.quantizer(x) for x in frames]
            return torch.cat(frames), torch.cat(vectors)


class VqWav2VecNetwork(nn.Module):
    """Network of vq-wav2vec, from the waveform.

    Arguments
    ---------
    config : VqWav2VecConfig
        Sizes and options.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.coder = Coder(config)
        self.aggregator = Aggregator(config)

    def forward(self, wavs):
        """[batch, samples] -> yields hidden states [batch, frames, size]."""
        dtype = self.aggregator.convolutions[0].weight.dtype
        frames, vectors = (x.to(dtype) for x in self.coder(wavs))
        yield frames.transpose(1, 2)
        x = F.dropout(vectors, self.config.dropout_features, self.training)
        for x in self.aggregator(x):
            yield x.transpose(1, 2)


class VqWav2Vec(Wav2Vec):
    """vq-wav2vec.

    Its hidden states are the output of the front-end, before it is quantized,
    and those of the aggregator's layers. The vectors of its codes are
    ``network.coder.quantizer.codebooks[group, code]``.

    Arguments
    ---------
    source
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec.Wav2Vec`.
    config : dict, optional
        Entries of :class:`VqWav2VecConfig` that differ from the Gumbel model; only
        without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    Fine-tuning in S3PRL samples codes at the first temperature of pre-training, here
    at the last.

    Example
    -------
    >>> small = {"conv_feature_layers": [[16, 10, 5], [16, 8, 32]], "vq_vars": 8,
    ...     "conv_aggregator_layers": [[16, 2, 1], [16, 3, 1]]}
    >>> upstream = VqWav2Vec(config=small)
    >>> wavs = torch.randn(2, 16000)
    >>> hidden_states, lens = upstream(wavs)
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 100, 16]))
    >>> codes, lens = upstream.codes(wavs)
    >>> codes.shape
    torch.Size([2, 100, 2])
    """

    Config, Network = VqWav2VecConfig, VqWav2VecNetwork
    codes = waveform_codes

    @property
    def front_end(self):
        """Strided convolutions over the waveform."""
        return self.network.coder.front_end

    def codes_of(self, wav):
        """[samples], at least one frame long -> codes [frames, groups]."""
        return self.network.coder.codes(wav[None])[0]

    @staticmethod
    def read(path):
        """Reads a checkpoint with quantization, see :func:`read_wav2vec`."""
        config, weights = read_wav2vec(path)
        if config["vq_type"] not in QUANTIZERS:
            kind = "wav2vec" if config["vq_type"] == "none" else config["vq_type"]
            raise CheckpointError(
                f"'{path}' is of {kind}, and vq-wav2vec's are of "
                f"{' or '.join(QUANTIZERS)}."
            )
        if isinstance(config["vq_temp"], str):  # "(2.0, 0.5, 0.999995)"
            numbers = re.findall(r"[\d.]+", config["vq_temp"])
            config["vq_temp"] = [float(number) for number in numbers]
        converted = {}
        for name, tensor in weights.items():
            name = our_name(name, NAMES)
            if name.endswith(".codebook"):
                if config["vq_type"] == "kmeans":  # [codes, groups, size]
                    tensor = tensor.transpose(0, 1).contiguous()
                else:  # [1, groups x codes, size]
                    tensor = tensor[0].unflatten(0, (-1, config["vq_vars"]))
            converted[name] = tensor
        return config, converted
