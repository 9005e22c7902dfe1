"""Files in the folder of a model of the library transformers.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import re
from pathlib import Path

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints import language_adapters, values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read, read_json
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.storage import files

logger = logging.getLogger(__name__)

#: Entry of ``config.json`` with the place that the network was loaded from.
PLACE = "_name_or_path"
#: Files of the feature extractor's settings; the first one that has some is used.
PREPROCESSORS = ("processor_config.json", "preprocessor_config.json")
#: Weights that only pre-training or a task uses; ``mask_time_emb_vector`` is a name
#: of 2021.
UNUSED = re.compile(
    r"(masked_spec_embed$|mask_time_emb_vector$|quantizer\.|project_q\.|project_hid\."
    r"|final_proj\.|ctc_proj\.|speaker_proj\.|label_embs_concat$"
    r"|label_embeddings_concat$|layer_norm_for_extract\.|lm_head\.|classifier\."
    r"|projector\.|layer_weights$|adapter\.|intermediate_ffn\.|tdnn\.|objective\.)"
)
#: Files of the weights, each alone or as an index of parts; the first one is used.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

#: Weight norm: names of a weight's length to those of its direction, old and new.
LENGTHS = {
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}


def entries(folder, target_lang=None, model_type=None):
    """Reads the configuration.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the model.
    target_lang : str, optional
        Language of the adapters that the weights will get.
    model_type : str, optional
        The only type that the caller reads. The settings of another one are not looked
        for, as their absence would mean nothing.

    Returns
    -------
    dict
        Content of ``config.json``, with the feature extractor's settings under
        ``preprocessor``, see :func:`preprocessor`, and ``target_lang`` if given. The
        place that the network was loaded from, a folder of its author, is left
        out: what is converted may be shared.

    Raises
    ------
    CheckpointError
        If there is no configuration, or it is of another type.
    """
    network = network_entries(folder)
    if model_type not in (None, network.get("model_type")):
        raise CheckpointError(
            f"'{folder}' holds {network.get('model_type')}, where {model_type} was "
            "expected"
        )
    config = {key: value for key, value in network.items() if key != PLACE}
    config["preprocessor"] = preprocessor(folder)
    return config if target_lang is None else {**config, "target_lang": target_lang}


def network_entries(folder):
    """Reads the configuration of the network alone, see :func:`entries`."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise CheckpointError(
                f"'{folder}' holds an adapter of PEFT alone, which is a change to "
                "another model. Merge it (`merge_and_unload()`), and save what that "
                "gives with save_pretrained."
            )
        what = "has no config.json" if folder.is_dir() else "is a file"
        raise CheckpointError(
            f"'{folder}' {what}: a model of transformers is a folder with "
            "config.json and the weights, or an id of Hugging Face." + _others(folder)
        )
    return read_json(folder / "config.json")


def preprocessor(folder):
    """Reads the settings of the feature extractor, of any version of transformers.

    They are in ``processor_config.json`` under ``feature_extractor``, as transformers
    5 saves a processor, else in ``preprocessor_config.json``. If there are both, the
    former counts, as in transformers.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the model.

    Returns
    -------
    dict
        Empty, with a warning, if there are no settings: the defaults of transformers
        then apply, normalized waveforms of 16 kHz.
    """
    for name in PREPROCESSORS:
        if not (folder / name).is_file():
            continue
        options = read_json(folder / name)
        if name == PREPROCESSORS[0] and "feature_extractor_type" not in options:
            options = options.get("feature_extractor", options.get("audio_processor"))
        if isinstance(options, dict):
            return options
    logger.warning(
        "'%s' has no preprocessor_config.json, nor a processor_config.json with a "
        "feature_extractor. transformers' defaults are assumed, of waveforms "
        "do_normalize: true and sampling_rate: 16000.",
        folder,
    )
    return {}


def weights(folder, prefixes=(), has_adapters=False, target_lang=None, unused=()):
    """Reads the weights under the names of the network alone.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``model.safetensors`` or ``pytorch_model.bin``, or with an index
        of several such files.
    prefixes : iterable of str
        Prefixes of the network's names in a model for some task. The first one in
        use is removed; other names belong to the head.
    has_adapters : bool
        The network has language adapters. If not, those among the weights are left
        out, as transformers does.
    target_lang : str, optional
        Language of the adapters, from ``adapter.<target_lang>.safetensors`` or
        ``.bin``. None: the adapters among the weights.
    unused : iterable of str
        Modules of the network that are not built, and whose weights are left out.

    Returns
    -------
    dict
        Names to tensors.

    Raises
    ------
    CheckpointError
        If there are no weights, or not all files of the index that are needed.
    """
    state = _inner(everything(folder, prefixes), prefixes)
    if target_lang is not None:
        inner = functools.partial(_inner, prefixes=prefixes)
        state = language_adapters.exchanged(state, folder, target_lang, inner)
    left_out = [UNUSED] if has_adapters else [UNUSED, language_adapters.NAMES]
    left_out += [re.compile(rf"{re.escape(module)}\.") for module in unused]
    return {n: t for n, t in state.items() if not any(p.match(n) for p in left_out)}


def everything(folder, prefixes=()):
    """Reads all weights of a folder, including the head of a task.

    Arguments
    ---------
    folder : pathlib.Path
        See :func:`weights`.
    prefixes : iterable of str
        If there are several files, those with names of one of these prefixes are
        enough: the audio tower of a large language model is in one of them.

    Returns
    -------
    dict
        Names to tensors.
    """
    state = {}
    for file in _files(folder, prefixes):
        state.update(read(file))
    return bare(state)


def parts(folder, prefixes=()):
    """Returns the names of the files with a network's weights, if there are several.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with an index of weights.
    prefixes : iterable of str
        See :func:`everything`.

    Returns
    -------
    list of str
        Empty without an index.
    """
    indices = [folder / f"{name}.index.json" for name in WEIGHTS]
    index = next((index for index in indices if index.is_file()), None)
    return [] if index is None else _parts(index, prefixes)


def _parts(index, prefixes):
    with files.naming(index, "an index of weights"):
        places = files.read_json(opened(index), kind=dict)["weight_map"]
        for prefix in prefixes:
            inner = {places[name] for name in places if name.startswith(prefix)}
            if inner:
                return sorted(Path(part).name for part in inner)
        return sorted({Path(part).name for part in places.values()})


def _inner(state, prefixes):
    state = bare(state)
    for prefix in prefixes:
        inner = {n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)}
        if inner:
            return inner
    return state


def _files(folder, prefixes):
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            names = _parts(index, prefixes)
            for name in names:
                if not (folder / name).is_file():
                    raise CheckpointError(
                        f"'{folder / name}' is missing, one of the {len(names)} files "
                        f"of weights that '{index.name}' beside it names. Get it from "
                        "where the others came from."
                    )
            return [folder / name for name in names]
    variants = sorted(file.name for file in folder.glob("model.*.safetensors"))
    hint = f" It holds {variants[0]}: call it {WEIGHTS[0]}." if variants else ""
    raise CheckpointError(
        f"'{folder}' has no weights: {' or '.join(WEIGHTS)}.{hint or _others(folder)}"
    )


def _others(folder):
    """Returns a hint at checkpoint files that the user may have meant."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [p.name for p in paths if p.suffix in (".pt", ".pth", ".ckpt")]
    hint = f" It holds {', '.join(names[:4])}: is that the checkpoint? Then name it."
    return hint if names else ""


def without_norm(weights):
    """Replaces weight norm by plain weights.

    Arguments
    ---------
    weights : dict
        Names to tensors.

    Returns
    -------
    dict
        Weights with ``weight`` instead of its length and direction.

    Example
    -------
    >>> import torch
    >>> without_norm({"a.weight_g": torch.tensor([[2.0]]),
    ...     "a.weight_v": torch.tensor([[3.0], [4.0]])})
    {'a.weight': tensor([[1.2000],
            [1.6000]])}
    """
    result = dict(weights)
    for name, length in weights.items():
        for suffix, other in LENGTHS.items():
            direction = re.sub(rf"\b{re.escape(suffix)}$", other, name)
            if direction != name and direction in weights:
                v, g = (values.single(weights, part) for part in (direction, name))
                del result[direction], result[name]
                over = [i for i, size in enumerate(g.shape) if size == 1]
                weight = v * (g / v.norm(dim=over, keepdim=True))
                result[f"{name.removesuffix(suffix)}weight"] = weight
    return result
