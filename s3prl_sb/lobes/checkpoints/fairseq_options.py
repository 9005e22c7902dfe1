"""Options and weights of checkpoints in fairseq's format.

The options are in one of several places: ``task_cfg`` and ``model_cfg`` of S3PRL,
``cfg`` with ``task`` and ``model`` of fairseq, the flat ``cfg`` of Microsoft, the older
``args``, ``hyper_parameters`` of Lightning. A fine-tuned model also has ``w2v_args``,
the options of its pre-trained network.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain
from s3prl_sb.lobes.checkpoints.sample_rates import stated_in

#: Keys of the weights; the first one present is used.
WEIGHTS = ("model_weight", "model", "state_dict", "model_state_dict")
#: Keys of the options, if there is no ``task_cfg`` and ``model_cfg``.
OPTIONS = ("cfg", "args", "hyper_parameters")
#: Option that every such network has.
SIZE = "encoder_embed_dim"
#: Part of the names of the weights of data2vec 2.0 and its relatives.
MULTI = "modality_encoders."


def weights_in(content):
    """Returns the state dict of a checkpoint.

    Arguments
    ---------
    content : object
        Content of a file.

    Returns
    -------
    dict
        State dict of the model, or the content itself if that is one; else an empty
        dict.

    Example
    -------
    >>> weights_in({"state_dict": {"a": 1}, "epoch": 3}), weights_in({"b": 2})
    ({'a': 1}, {'b': 2})
    """
    if not isinstance(content, dict):
        return {}
    candidates = (content.get(key) for key in WEIGHTS)
    return next((state for state in candidates if isinstance(state, dict)), content)


def options_in(content, path):
    """Returns the options of a checkpoint's audio and network.

    Arguments
    ---------
    content : dict
        Content of a file.
    path : str
        The file, for errors.

    Returns
    -------
    task : dict
        ``normalize`` and ``sample_rate``, if they are given: by the task of a
        fine-tuned model, else by its model, else by its pre-trained network.
    model : dict
        Options of the network.

    Raises
    ------
    CheckpointError
        If it holds no options, or those of another kind of network.

    Example
    -------
    >>> inner = {"task": {"normalize": True}, "model": {"encoder_embed_dim": 8}}
    >>> tuned = {"task": {"sample_rate": 8000}, "model": {"w2v_args": inner}}
    >>> options_in({"cfg": tuned}, "tuned.pt")
    ({'normalize': True, 'sample_rate': 8000}, {'encoder_embed_dim': 8})
    """
    outer, weights = _outer(content), weights_in(content)
    _check_data2vec_2(outer, weights, path)
    if outer is None and any(str(name).endswith(".weight") for name in weights):
        raise CheckpointError(
            f"'{path}' holds weights alone, which do not say the sizes of their "
            "network. Save it as fairseq does, with cfg (or args) and model."
        )
    if outer is None:
        raise CheckpointError(
            f"'{path}' is no checkpoint of wav2vec 2.0 or of its kin: it holds "
            f"{sorted(map(str, content))[:8]}, where S3PRL's has task_cfg, "
            "model_cfg and model_weight, and fairseq's cfg (or args) and model."
        )
    task, model = outer
    pretrained = model.get("w2v_args")
    pretrained = _parts(pretrained) if isinstance(pretrained, dict) else ({}, {})
    network = next((m for m in (pretrained[1], model) if m.get(SIZE)), None)
    if network is None:
        raise CheckpointError(_without_sizes(model, weights, path))
    places = (task, model, *pretrained)
    audio = {key: stated_in(*places, key=key) for key in ("normalize", "sample_rate")}
    return {key: value for key, value in audio.items() if value is not None}, network


def _outer(content):
    """Returns the options of the task and of the model, or None."""
    if {"task_cfg", "model_cfg"} <= content.keys():
        parts = (plain(content[key]) for key in ("task_cfg", "model_cfg"))
        return tuple(map(as_dict, parts))
    for key in OPTIONS:
        options = plain(content.get(key))
        if isinstance(options, dict):
            inner = options.get("cfg")
            return _parts(inner if isinstance(inner, dict) else options)
    return None


def _parts(options):
    """Returns the options of task and model, which may be in one dict."""
    if not isinstance(options.get("model"), dict):
        return options, options
    return as_dict(options.get("task")), options["model"]


def _check_data2vec_2(outer, weights, path):
    """Refuses data2vec 2.0 by name, as its options are named differently."""
    names = [str(name) for name in weights if MULTI in str(name)]
    if not names and (outer or ({}, {}))[1].get("_name") != "data2vec_multi":
        return
    modalities = sorted({name.partition(MULTI)[2].split(".")[0] for name in names})
    kind = f" ({', '.join(modalities)})" if modalities else ""
    raise CheckpointError(
        f"'{path}' is of data2vec 2.0's architecture{kind}, as those of emotion2vec "
        "and EAT are, and no class here builds it. Take a model of data2vec 1.0, such "
        "as the card data2vec, or write a class of your own: templates/new_upstream."
    )


def _without_sizes(model, weights, path):
    """Returns the error message for a file without the sizes of its network."""
    pretrained = model.get("w2v_path")
    if pretrained or any("w2v_model." in str(name) for name in weights):
        pretrained = pretrained or "which it does not name"
        return (
            f"'{path}' is a fine-tuned model without w2v_args: the sizes of its "
            f"network are in the pre-trained file that it began with, {pretrained}. "
            "Load that one, or save this one again with that one's cfg (or args)."
        )
    return f"'{path}' does not say the sizes of its network: it has no {SIZE}."
