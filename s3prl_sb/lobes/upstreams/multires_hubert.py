"""MR-HuBERT: a HuBERT whose encoders work at several resolutions.

Paper: Shi et al., "Multi-resolution HuBERT: Multi-resolution Speech
Self-Supervised Learning with Masked Unit Prediction", ICLR 2024,
https://arxiv.org/abs/2310.02720. Reproduces S3PRL's
``upstream/multires_hubert``.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import re

from s3prl_sb.lobes.checkpoints import sample_rates
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import bare, our_name
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import (
    fairseq_config,
    fairseq_weights,
)
from s3prl_sb.lobes.networks.multires_transformer import (
    MultiresConfig,
    MultiresTransformer,
)
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Weights that only pre-training uses.
TRAINING = re.compile(r"(mask_emb$|final_projs\.|label_embs_concat\.|target_glus\.)")
RESAMPLERS = {
    r"^(down|up)sample_modules\.": r"\1samplers.",
    r"\.(down|up)sample_conv\.0\.": r".\1.convolution.",
    r"\.(down|up)sample_conv\.2\.": r".\1.norm.",
}


def read_multires_hubert(path):
    """Reads a checkpoint in S3PRL's layout, or in fairseq's.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`MultiresConfig`.
    weights : dict
        Weights of :class:`MultiresTransformer`.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    content = as_dict(read(path))
    keys = ("task_cfg", "model_cfg", "model_weight")
    if content.keys() >= set(keys):
        task, model, weights = map(content.get, keys)
    else:
        cfg = as_dict(plain(content.get("cfg")))
        task, model, weights = cfg.get("task"), cfg.get("model"), content.get("model")
    task, model = plain(task), plain(model)
    needed = {"encoder_embed_dim", "label_rate_ratios"}
    if not (isinstance(model, dict) and needed <= model.keys()):
        kind = f", of a model with {sorted(map(str, model))[:8]}" if model else ""
        raise CheckpointError(
            f"'{path}' is no checkpoint of MR-HuBERT: it holds "
            f"{sorted(map(str, content))[:8]}{kind}, where S3PRL's has task_cfg, "
            "model_cfg and model_weight, fairseq's cfg and model, and both a model "
            "with label_rate_ratios."
        )
    config = _config(task or {}, model, path)
    return config, _weights(weights, config)


def _config(task, model, path):
    """Returns the entries of a :class:`MultiresConfig`."""
    ratios = _numbers(model["label_rate_ratios"], path)
    layers = _numbers(model.get("override_encoder_layers") or [], path)
    count = len(ratios) // 2
    # fairseq lists the layers of the decoders in reverse order.
    layers = layers[: count + 1] + layers[:count:-1]
    config = {
        **fairseq_config(task, model, path),
        "num_layers": layers or [int(model["encoder_layers"])] * (2 * count + 1),
        "ratios": [ratios[2 * i : 2 * i + 2] for i in range(count)],
        "resampling_kernel": model.get("conv_adapator_kernal", 7),
        "plain_resampling": bool(model.get("use_plain_updownsample", False)),
    }
    try:
        MultiresConfig(**config)
    except ValueError as error:
        raise CheckpointError(f"'{path}' is not supported: {error}.") from error
    return config


def _numbers(value, path):
    """Parses a list of integers, which fairseq may write as text."""
    try:
        value = ast.literal_eval(value) if isinstance(value, str) else value
        return [int(number) for number in value]
    except (SyntaxError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{path}': not a list of numbers: {value}") from error


def _weights(weights, config):
    """Converts fairseq's weights to our names."""
    middle = len(config["ratios"])
    theirs = [
        *(f"encoders.{i}." for i in range(middle)),
        "middle_encoder.",
        *(f"decoders.{i}." for i in range(middle)),
    ]
    parts, result = {}, {}  # each part as if it were a separate network
    for name, tensor in bare(weights).items():
        if TRAINING.match(name):
            continue
        if re.match(r"(down|up)sample_modules\.", name):
            result[our_name(name, RESAMPLERS)] = tensor
            continue
        i = next((i for i, t in enumerate(theirs) if name.startswith(t)), None)
        if i is not None:
            name = "encoder." + name.removeprefix(theirs[i])
        parts.setdefault(i or 0, {})[name] = tensor
    for i, part in parts.items():
        for name, tensor in fairseq_weights(part, config).items():
            later = f"later_encoders.{i - 1}." if i else "encoder."
            result[re.sub(r"^encoder\.", later, name)] = tensor
    return result


class MultiresHubert(PretrainedUpstream):
    """MR-HuBERT.

    Its hidden states are the input of every layer and the output of each encoder, in
    the order they run: ``num_layers`` is the number of layers plus that of encoders.
    Coarser resolutions are repeated to the frame rate of the finest, and all are cut
    to the shortest.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's or fairseq's format, or its address. It brings
        its own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`MultiresConfig` that differ from the base model;
        only without ``source``.
    freeze_front_end : bool
        Freeze the convolutions over the waveform in fine-tuning.
    layerdrop : float
        Probability to skip a layer when fine-tuning.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In S3PRL the norms between the encoders see the padding of a batch, and all hidden
    states depend on it. Here every utterance gets the same as alone. An even
    ``resampling_kernel``, which no published model has, and conformer layers are
    refused.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": [1, 2, 1],
    ...     "num_heads": 4, "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> upstream = MultiresHubert(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (7, torch.Size([2, 50, 32]))
    """

    Config, Network = MultiresConfig, MultiresTransformer
    packed = True
    read = staticmethod(read_multires_hubert)

    def __init__(
        self,
        source=None,
        config=None,
        *,
        freeze_front_end=True,
        layerdrop=0.0,
        **options,
    ):
        self.layerdrop = layerdrop
        super().__init__(source, config, **options)
        self.sample_rate = sample_rates.agreed(None, self.config.sample_rate, source)
        if freeze_front_end:
            self.network.front_end.requires_grad_(False)
        self.output_size = self.config.hidden_size
        self.num_layers = sum(self.config.num_layers) + len(self.config.num_layers)
        self.stride = self.network.front_end.stride // self.network.repeats[0]

    def make_config(self, entries):
        """Returns the configuration, with the probability to skip layers."""
        return super().make_config({**entries, "layerdrop": self.layerdrop})

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return self.network.frames(super().frames(samples))
