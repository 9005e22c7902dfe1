"""MR-HuBERT: a HuBERT whose encoders work at several resolutions.

Paper: Shi et al., "Multi-resolution HuBERT: Multi-resolution Speech
Self-Supervised Learning with Masked Unit Prediction", ICLR 2024,
https://arxiv.org/abs/2310.02720. Reproduces S3PRL's
``upstream/multires_hubert``.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import dataclasses
import re

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints import sample_rates
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import (
    fairseq_config,
    fairseq_weights,
)
from s3prl_sb.lobes.networks.multires_transformer import (
    MultiresConfig,
    MultiresTransformer,
)
from s3prl_sb.lobes.upstreams.base import Upstream

#: Weights that only pre-training uses.
TRAINING = re.compile(r"(mask_emb$|final_projs\.|label_embs_concat\.|target_glus\.)")
RESAMPLERS = [
    (r"^(down|up)sample_modules\.", r"\1samplers."),
    (r"\.(down|up)sample_conv\.0\.", r".\1.convolution."),
    (r"\.(down|up)sample_conv\.2\.", r".\1.norm."),
]


class MultiresHubert(Upstream):
    """MR-HuBERT.

    Its hidden states are, of each encoder in the order they run, the input of
    every layer and the output: ``num_layers`` is the layers and the encoders
    together. Those of coarser resolutions are repeated to the frame rate of
    the finest; all are as long as the shortest.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's or fairseq's format, or its address. It brings
        its own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`MultiresConfig` that differ from the base model;
        only without ``source``.
    freeze : bool
        No training.
    freeze_front_end : bool
        When fine-tuning, keep the convolutions over the waveform as they are.
    precision : str
        "fp32", "bf16" or "fp16".
    adapter : dict, optional
        Train only small adapters: ``{"kind": "lora", "rank": 8}``.
    layerdrop : float
        Probability to skip a layer when fine-tuning.
    seed : int
        Of the random network's weights.

    Note
    ----
    In a padded batch S3PRL lets the padding into the norms between the
    encoders, and all hidden states there depend on it. Here every utterance
    gets what it gets alone. Even ``resampling_kernel``, which no published
    model has, and conformer layers are refused.

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

    packed = True

    def __init__(
        self,
        source=None,
        config=None,
        freeze=True,
        freeze_front_end=True,
        precision="fp32",
        adapter=None,
        layerdrop=0.0,
        seed=0,
    ):
        super().__init__(freeze, precision, adapter)
        config, weights = config or {}, None
        if source is not None:
            config, weights = read_source(source, read_multires_hubert)
        known = [field.name for field in dataclasses.fields(MultiresConfig)]
        if unknown := [str(name) for name in config if name not in known]:
            raise ValueError(
                f"Unknown entry of config: {', '.join(unknown)}. "
                f"Known: {', '.join(known)}"
            )
        self.config = MultiresConfig(**{**config, "layerdrop": layerdrop})
        self.sample_rate = sample_rates.agreed(None, self.config.sample_rate, source)
        self.network = build(
            lambda: MultiresTransformer(self.config), weights, source, seed
        )
        if freeze_front_end:
            self.network.front_end.requires_grad_(False)
        self.output_size = self.config.hidden_size
        self.num_layers = sum(self.config.num_layers) + len(self.config.num_layers)
        self.stride = self.network.front_end.stride // self.network.repeats[0]

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.network.front_end.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        samples = max(samples, self.min_samples)
        return self.network.frames(self.network.front_end.frames(samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        return self.network(wavs)


def read_multires_hubert(path):
    """Reads a checkpoint in S3PRL's layout, or in fairseq's.

    Arguments
    ---------
    path : pathlib.Path

    Returns
    -------
    config : dict
        Entries of :class:`MultiresConfig`.
    weights : dict
        Of :class:`MultiresTransformer`.

    Raises
    ------
    CheckpointError
        If the file is of another family, or of a variant that is not supported.
    """
    content = checkpoints.read(path)
    content = content if isinstance(content, dict) else {}
    if {"task_cfg", "model_cfg", "model_weight"} <= content.keys():
        task, model, weights = (
            content[key] for key in ("task_cfg", "model_cfg", "model_weight")
        )
    else:
        cfg = checkpoints.plain(content.get("cfg"))
        cfg = cfg if isinstance(cfg, dict) else {}
        task, model, weights = cfg.get("task"), cfg.get("model"), content.get("model")
    task, model = checkpoints.plain(task), checkpoints.plain(model)
    needed = {"encoder_embed_dim", "label_rate_ratios"}
    if not (isinstance(model, dict) and needed <= model.keys()):
        found = f", of a model with {sorted(map(str, model))[:8]}" if model else ""
        raise CheckpointError(
            f"'{path}' is no checkpoint of MR-HuBERT: it holds "
            f"{sorted(map(str, content))[:8]}{found}, where S3PRL's has task_cfg, "
            "model_cfg and model_weight, fairseq's cfg and model, and both a model "
            "with label_rate_ratios."
        )
    config = _config(task or {}, model, path)
    return config, _weights(weights, config)


def _config(task, model, path):
    """Entries of a :class:`MultiresConfig`."""
    ratios = _numbers(model["label_rate_ratios"], path)
    layers = _numbers(model.get("override_encoder_layers") or [], path)
    count = len(ratios) // 2
    # In fairseq the last of them is of the decoder that runs first.
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
    """A list of integers, which fairseq may write as text."""
    try:
        value = ast.literal_eval(value) if isinstance(value, str) else value
        return [int(number) for number in value]
    except (SyntaxError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{path}': not a list of numbers: {value}") from error


def _weights(weights, config):
    """Our names for fairseq's."""
    middle = len(config["ratios"])
    theirs = [
        *(f"encoders.{i}." for i in range(middle)),
        "middle_encoder.",
        *(f"decoders.{i}." for i in range(middle)),
    ]
    parts, result = {}, {}  # the parts as if each were of a network of its own
    for name, tensor in bare(weights).items():
        if TRAINING.match(name):
            continue
        if re.match(r"(down|up)sample_modules\.", name):
            for pattern, ours in RESAMPLERS:
                name = re.sub(pattern, ours, name)
            result[name] = tensor
            continue
        i = next((i for i, t in enumerate(theirs) if name.startswith(t)), None)
        own = name if i is None else "encoder." + name.removeprefix(theirs[i])
        parts.setdefault(i or 0, {})[own] = tensor
    for i, part in parts.items():
        for name, tensor in fairseq_weights(part, config).items():
            later = f"later_encoders.{i - 1}." if i else "encoder."
            result[re.sub(r"^encoder\.", later, name)] = tensor
    return result
