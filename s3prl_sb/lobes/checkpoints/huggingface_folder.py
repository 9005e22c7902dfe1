"""The folder of a model of the library transformers: its files.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import re
from pathlib import Path

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints import language_adapters, values
from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.storage.files import naming, read_json

logger = logging.getLogger(__name__)

#: Where a feature extractor's settings stand, the first that has some.
PREPROCESSORS = ("processor_config.json", "preprocessor_config.json")
#: Weights that pre-training or a task alone uses; ``mask_time_emb_vector`` is the
#: name of 2021.
UNUSED = re.compile(
    r"(masked_spec_embed$|mask_time_emb_vector$|quantizer\.|project_q\.|project_hid\."
    r"|final_proj\.|ctc_proj\.|speaker_proj\.|label_embs_concat$"
    r"|label_embeddings_concat$|layer_norm_for_extract\.|lm_head\.|classifier\."
    r"|projector\.|layer_weights$|adapter\.|intermediate_ffn\.|tdnn\.|objective\.)"
)
#: Where the weights are, the first that there is; or an index of them beside it.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

#: Of a weight-normed one: the weight's length and its direction, once and now.
LENGTHS = {
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}


def entries(folder, target_lang=None):
    """The configuration.

    Arguments
    ---------
    folder : pathlib.Path
    target_lang : str, optional
        Of the adapters that the weights will get.

    Returns
    -------
    dict
        That of ``config.json``, and under ``preprocessor`` that of the feature
        extractor, see :func:`preprocessor`; ``target_lang`` if it is given.

    Raises
    ------
    CheckpointError
        If there is none.
    """
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
    config = checkpoints.read_json(folder / "config.json")
    config["preprocessor"] = preprocessor(folder)
    return config if target_lang is None else {**config, "target_lang": target_lang}


def preprocessor(folder):
    """The settings of the feature extractor, wherever transformers put them.

    Of ``processor_config.json`` what is under ``feature_extractor``, as transformers
    5 saves a processor; else ``preprocessor_config.json``. The former counts where
    there are both, as in transformers.

    Arguments
    ---------
    folder : pathlib.Path

    Returns
    -------
    dict
        Empty, with a warning, if there are none: what is not said is as by default
        in transformers, waveforms are normalized and of 16 kHz.
    """
    for name in PREPROCESSORS:
        if not (folder / name).is_file():
            continue
        found = checkpoints.read_json(folder / name)
        if name == PREPROCESSORS[0] and "feature_extractor_type" not in found:
            found = found.get("feature_extractor", found.get("audio_processor"))
        if isinstance(found, dict):
            return found
    logger.warning(
        "'%s' has no preprocessor_config.json, nor a processor_config.json with a "
        "feature_extractor. transformers' defaults are assumed, of waveforms "
        "do_normalize: true and sampling_rate: 16000.",
        folder,
    )
    return {}


def weights(folder, prefixes=(), has_adapters=False, target_lang=None):
    """The weights under the names of the network alone.

    Arguments
    ---------
    folder : pathlib.Path
        With ``model.safetensors`` or else ``pytorch_model.bin``, or an index
        of several files in place of the one.
    prefixes : iterable of str
        Where a model for some task keeps this one: of the first that there is,
        what follows it; what has another name is the head.
    has_adapters : bool
        Whether the network has adapters of a language. If not, those among the
        weights are left out, as transformers does.
    target_lang : str, optional
        The language of the adapters, from ``adapter.<target_lang>.safetensors`` or
        ``.bin``. None: those among the weights.

    Returns
    -------
    dict
        Names to tensors.

    Raises
    ------
    CheckpointError
        If there are none, or not all that the index names.
    """
    found = _inner(everything(folder), prefixes)
    if target_lang is not None:
        inner = functools.partial(_inner, prefixes=prefixes)
        found = language_adapters.exchanged(found, folder, target_lang, inner)
    left_out = [UNUSED] if has_adapters else [UNUSED, language_adapters.NAMES]
    return {n: t for n, t in found.items() if not any(p.match(n) for p in left_out)}


def everything(folder):
    """All weights of a folder, those of a task too, under their names.

    Arguments
    ---------
    folder : pathlib.Path
        As for :func:`weights`.

    Returns
    -------
    dict
        Names to tensors.
    """
    found = {}
    for file in _files(folder):
        found.update(checkpoints.read(file))
    return bare(found)


def _inner(found, prefixes):
    found = bare(found)
    for prefix in prefixes:
        inner = {n[len(prefix) :]: t for n, t in found.items() if n.startswith(prefix)}
        if inner:
            return inner
    return found


def _files(folder):
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            with naming(index, "an index of weights"):
                parts = set(read_json(opened(index), kind=dict)["weight_map"].values())
                parts = [folder / Path(part).name for part in sorted(parts)]
            for part in parts:
                if not part.is_file():
                    raise CheckpointError(
                        f"'{part}' is missing, one of the {len(parts)} files of "
                        f"weights that '{index.name}' beside it names. Get it from "
                        "where the others came from."
                    )
            return parts
    variants = sorted(file.name for file in folder.glob("model.*.safetensors"))
    held = f" It holds {variants[0]}: call it {WEIGHTS[0]}." if variants else ""
    raise CheckpointError(
        f"'{folder}' has no weights: {' or '.join(WEIGHTS)}.{held or _others(folder)}"
    )


def _others(folder):
    """What else there is that may have been meant."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    there = [p.name for p in there if p.suffix in (".pt", ".pth", ".ckpt")]
    held = f" It holds {', '.join(there[:4])}: is that the checkpoint? Then name it."
    return held if there else ""


def without_norm(weights):
    """Multiplies weight norm out.

    Arguments
    ---------
    weights : dict
        Names to tensors.

    Returns
    -------
    dict
        With a ``weight`` in place of its length and its direction.

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
