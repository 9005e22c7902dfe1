"""The options that a checkpoint in fairseq's manner holds, and the weights beside them.

They stand in several places: S3PRL's ``task_cfg`` and ``model_cfg``, fairseq's ``cfg``
with ``task`` and ``model``, Microsoft's flat ``cfg``, older ``args``, Lightning's
``hyper_parameters``; and of a fine-tuned model once more in its ``w2v_args``, those of
the network that it began with.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints import sample_rates
from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Where the weights are, the first that there is.
WEIGHTS = ("model_weight", "model", "state_dict", "model_state_dict")
#: Where the options are, if not in ``task_cfg`` and ``model_cfg``.
OPTIONS = ("cfg", "args", "hyper_parameters")
#: What every network of these says.
SIZE = "encoder_embed_dim"
#: In the names of data2vec 2.0's weights, and of those of its kin.
MULTI = "modality_encoders."


def weights_in(content):
    """The state dict of a checkpoint.

    Arguments
    ---------
    content : object
        Of a file.

    Returns
    -------
    dict
        That of the model, or the content itself where it is one; empty if it is
        neither.

    Example
    -------
    >>> weights_in({"state_dict": {"a": 1}, "epoch": 3}), weights_in({"b": 2})
    ({'a': 1}, {'b': 2})
    """
    if not isinstance(content, dict):
        return {}
    held = (content.get(key) for key in WEIGHTS)
    return next((found for found in held if isinstance(found, dict)), content)


def options_in(content, path):
    """What a checkpoint says of its audio and of its network.

    Arguments
    ---------
    content : dict
        Of a file.
    path : str
        The file, for errors.

    Returns
    -------
    task : dict
        ``normalize`` and ``sample_rate``, where they are said: by a fine-tuned
        model's own task, else by its model, else by what it began with.
    model : dict
        The options of the network.

    Raises
    ------
    CheckpointError
        If it holds none, or those of another kind of network.

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
    began = model.get("w2v_args")
    began = _parts(began) if isinstance(began, dict) else ({}, {})
    network = next((found for found in (began[1], model) if found.get(SIZE)), None)
    if network is None:
        raise CheckpointError(_without_sizes(model, weights, path))
    places = (task, model, *began)
    said = {"normalize": _first(places, "normalize")}
    said["sample_rate"] = sample_rates.stated_in(*places)
    return {key: value for key, value in said.items() if value is not None}, network


def _outer(content):
    """Options of the task and of the model, or None."""
    if {"task_cfg", "model_cfg"} <= content.keys():
        parts = [checkpoints.plain(content[key]) for key in ("task_cfg", "model_cfg")]
        return tuple(part if isinstance(part, dict) else {} for part in parts)
    for key in OPTIONS:
        found = checkpoints.plain(content.get(key))
        if isinstance(found, dict):
            inner = found.get("cfg")
            return _parts(inner if isinstance(inner, dict) else found)
    return None


def _parts(options):
    """Task and model, which may stand in one."""
    if not isinstance(options.get("model"), dict):
        return options, options
    task = options.get("task")
    return task if isinstance(task, dict) else {}, options["model"]


def _first(places, key):
    return next((p[key] for p in places if p.get(key) is not None), None)


def _check_data2vec_2(outer, weights, path):
    """Refuses another architecture by its name: no size of it is like ours."""
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
    """What to do with a file that does not say the sizes of its network."""
    began = model.get("w2v_path")
    if began or any("w2v_model." in str(name) for name in weights):
        began = began or "which it does not name"
        return (
            f"'{path}' is a fine-tuned model without w2v_args: the sizes of its "
            f"network are in the pre-trained file that it began with, {began}. Load "
            "that one, or save this one again with that one's cfg (or args)."
        )
    return f"'{path}' does not say the sizes of its network: it has no {SIZE}."
