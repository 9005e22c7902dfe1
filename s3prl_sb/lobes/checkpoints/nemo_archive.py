"""FastConformer encoders in NeMo's archives: Parakeet, Canary, NEST.

Rekesh et al., "Fast Conformer with Linearly Scalable Attention for Efficient Speech
Recognition", https://arxiv.org/abs/2305.05084; Huang et al., "NEST: Self-supervised
Fast Conformer as All-purpose Seasoning to Speech Processing Tasks",
https://arxiv.org/abs/2408.13106. A ``.nemo`` file is a tar of the configuration in YAML
and a pickle of the weights. transformers has the same network by other names.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from s3prl_sb.identity.opened import listening, opened
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.storage.yaml_texts import yaml_of

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
#: Names of the encoder's modules in NeMo and in transformers, as patterns.
RENAMED = {
    r"^pre_encode\.conv\.": "subsampling.layers.",
    r"^pre_encode\.out\.": "subsampling.linear.",
    r"\.conv\.batch_norm\.": ".conv.norm.",
    r"\.self_attn\.linear_([qkv])\.": r".self_attn.\1_proj.",
    r"\.self_attn\.linear_out\.": ".self_attn.o_proj.",
    r"\.self_attn\.linear_pos\.": ".self_attn.relative_k_proj.",
    r"\.self_attn\.pos_bias_([uv])$": r".self_attn.bias_\1",
}
#: Values that the network of transformers is built for, by section and key.
FIXED = {
    "encoder": {
        "self_attention_model": "rel_pos",
        "subsampling": "dw_striding",
        "conv_norm_type": "batch_norm",
        "causal_downsampling": False,
        "att_context_size": [-1, -1],
        "untie_biases": True,
    },
    "preprocessor": {"normalize": "per_feature", "window": "hann", "log": True},
}


def is_archive(path):
    """Returns whether a file is an archive of NeMo.

    Arguments
    ---------
    path : pathlib.Path
        Any file or folder.

    Returns
    -------
    bool
    """
    return path.is_file() and (path.suffix == ".nemo" or tarfile.is_tarfile(path))


def read_nemo(path):
    """Reads the encoder of a ``.nemo`` file.

    Arguments
    ---------
    path : pathlib.Path
        The archive.

    Returns
    -------
    config : dict
        Entries of transformers' ParakeetEncoderConfig, and under ``preprocessor``
        those of its feature extractor.
    weights : dict
        Names of transformers' ParakeetEncoder to tensors.

    Raises
    ------
    CheckpointError
        If it is another archive, or of another network.
    """
    text, state = _members(path)
    try:
        options = as_dict(yaml_of(text.decode(), "safe"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}', {CONFIG}: {error}") from error
    config = _config(options, path)
    names = [name for name in state if str(name).startswith("encoder.")]
    weights = {}
    for name in names:
        inner = name.removeprefix("encoder.")
        for pattern, replacement in RENAMED.items():
            inner = re.sub(pattern, replacement, inner)
        if not inner.startswith("pos_enc."):  # a table that the network computes
            weights[inner] = state[name]
    return config, weights


def _members(path):
    """Returns the text of the configuration, and the state dict."""
    try:
        with tarfile.open(opened(path), "r:") as archive:
            members = {}
            for member in archive:
                name = Path(member.name).name
                if name in (CONFIG, WEIGHTS):
                    if name in members or not member.isfile():
                        raise CheckpointError(
                            f"'{path}' holds {name} twice, or a link."
                        )
                    members[name] = member
            missing = [name for name in (CONFIG, WEIGHTS) if name not in members]
            if missing:
                raise CheckpointError(
                    f"'{path}' is a tar archive without {' and '.join(missing)}, which "
                    "NeMo's have: unpack it, and name the checkpoint in it."
                )
            text = archive.extractfile(members[CONFIG]).read(1 << 20)
            # The tensors stay mapped from the file when it has lost its name.
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                target = Path(folder) / WEIGHTS
                with open(target, "wb") as file:
                    shutil.copyfileobj(archive.extractfile(members[WEIGHTS]), file)
                with listening() as record:  # the archive is what was read
                    state = as_dict(read(target))
                    record.files.clear()
    except tarfile.TarError as error:
        raise CheckpointError(
            f"'{path}' is no tar archive, or a compressed one: unpack it, and pack it "
            f"again without compression ({error})."
        ) from error
    return text, state


def _config(options, path):
    """Returns the entries of transformers' configuration."""
    encoder, mel = as_dict(options.get("encoder")), as_dict(options.get("preprocessor"))
    if "d_model" not in encoder:
        raise CheckpointError(f"'{path}' has no encoder of FastConformer's layers.")
    for section, values in FIXED.items():
        for key, value in values.items():
            stated = as_dict(options.get(section)).get(key, value)
            if stated != value:
                raise CheckpointError(
                    f"'{path}': {section}.{key} is {stated}; the network that can read "
                    f"it has {value}."
                )
    rate = mel.get("sample_rate", 16000)
    bias = encoder.get("use_bias", True)
    return {
        "model_type": "parakeet_encoder",
        "hidden_size": encoder["d_model"],
        "num_hidden_layers": encoder["n_layers"],
        "num_attention_heads": encoder["n_heads"],
        "intermediate_size": encoder["d_model"] * encoder.get("ff_expansion_factor", 4),
        "conv_kernel_size": encoder.get("conv_kernel_size", 31),
        "num_mel_bins": encoder.get("feat_in", 80),
        "subsampling_factor": encoder.get("subsampling_factor", 8),
        "subsampling_conv_channels": encoder.get("subsampling_conv_channels", 256),
        "scale_input": encoder.get("xscaling", True),
        "attention_bias": bias,
        "convolution_bias": bias,
        "dropout": encoder.get("dropout", 0.1),
        "dropout_positions": encoder.get("dropout_emb", 0.0),
        "attention_dropout": encoder.get("dropout_att", 0.1),
        "preprocessor": {
            "sampling_rate": rate,
            "feature_size": mel.get("features", 80),
            "n_fft": mel.get("n_fft", 512),
            "win_length": int(mel.get("window_size", 0.025) * rate),
            "hop_length": int(mel.get("window_stride", 0.01) * rate),
            "preemphasis": mel.get("preemph", 0.97),
        },
    }
