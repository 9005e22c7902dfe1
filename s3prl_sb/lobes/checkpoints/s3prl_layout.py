"""Checkpoints of S3PRL's networks over Kaldi features: APC, NPC, DeCoAR.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name

#: Arguments of KaldiFeatures in which their features differ from its defaults.
AUDIO = {"num_mel_bins": 80, "window_type": "hamming", "deltas": 0, "cmvn": True}
#: S3PRL's names of the weights, and ours.
NAMES = {
    r"^rnn_layers\.": "layers.",
    r"^vq_layers\.(\d+)\.vq_logits\.": r"quantizer.logits.\1.",
    r"^vq_layers\.(\d+)\.codebook_CxE\.": r"quantizer.codebooks.\1.",
}


def read_s3prl(path, family, layers):
    """Reads a checkpoint in the layout of S3PRL's APC and NPC.

    Arguments
    ---------
    path : str
        The file.
    family, layers : str
        Expected family, and prefix of the names of its layers.

    Returns
    -------
    config : dict
        Arguments of the network, and under ``audio`` those of the features.
    weights : dict
        Under S3PRL's names, except for those of :data:`NAMES`. The layer that
        predicts features, ``postnet``, is dropped: no hidden state needs it.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    states = as_dict(read(path))
    config, model = plain(states.get("config")), states.get("model")
    try:
        network, audio = dict(config["model"]["paras"]), dict(config["data"]["audio"])
        fits = any(name.startswith(layers) for name in model)
    except (AttributeError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of {family}: these have 'config' with "
            f"'model.paras' and 'data.audio', and 'model' with '{layers}…'. It "
            f"holds {contents(states)}."
        )
    if audio.pop("feat_type", None) != "fbank":
        raise CheckpointError(f"'{path}' is of other features than Kaldi's fbank.")
    for key in ("decode_wav", "dither"):  # no options of KaldiFeatures
        audio.pop(key, None)
    quantizer = network.pop("vq", None) or {}
    for key in ("codebook_size", "code_dim"):
        network[key] = quantizer.get(key)
    network["audio"] = {"num_mel_bins": audio.pop("feat_dim", 80), **audio}
    weights = {}
    for name, tensor in model.items():
        if ".codebook_CxE." in name:  # a linear layer, over one-hot vectors
            tensor = tensor.t().contiguous()
        if not name.startswith("postnet."):
            weights[our_name(name, NAMES)] = tensor
    return network, weights


def contents(states):
    """Returns the keys of a checkpoint, and the first names under 'model', as a text.

    Arguments
    ---------
    states : dict
        A checkpoint of another family.

    Returns
    -------
    str
    """
    names = ", ".join(sorted(map(str, states))[:12]) or "nothing known"
    model = states.get("model")
    first = ", ".join(list(map(str, model))[:3]) if isinstance(model, dict) else ""
    return f"{names}; in 'model': {first}" if first else names
