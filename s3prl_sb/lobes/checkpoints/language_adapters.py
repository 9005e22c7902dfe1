"""Language adapters, as published with MMS.

Pratap et al., "Scaling Speech Technology to 1,000+ Languages",
https://arxiv.org/abs/2305.13516. The weights of a model have the adapters of one
language; those of the others are in files ``adapter.<language>.safetensors``.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re

from s3prl_sb.lobes.checkpoints import building
from s3prl_sb.lobes.checkpoints.fetch import fetch_more
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read
from s3prl_sb.terminal.messages import near

#: Names of their weights in transformers' network.
NAMES = re.compile(r"encoder\.layers\.\d+\.adapter_layer\.")
ENDINGS = (".safetensors", ".bin")


def read_source(source, reader, target_lang=None):
    """Reads a checkpoint with the adapters of a language.

    Arguments
    ---------
    source : str or list of str
        See :func:`~s3prl_sb.lobes.checkpoints.building.read_source`.
    reader : callable
        Reader for that function. With a language, it also takes ``target_lang`` and
        adds it to the configuration.
    target_lang : str, optional
        The language. None: the adapters among the weights, if there are any.

    Returns
    -------
    config : dict
        Configuration of the checkpoint.
    weights : dict
        Names to tensors.

    Raises
    ------
    CheckpointError
        If the checkpoint has no adapters of this language.
    """
    if target_lang is None:
        return building.read_source(source, reader)
    target_lang = str(target_lang)
    if re.fullmatch(r"[\w-]+", target_lang):  # not a pattern that matches all of them
        fetch_more(source, _names(target_lang))
    reader = functools.partial(reader, target_lang=target_lang)
    config, weights = building.read_source(source, reader)
    if config.get("target_lang") != target_lang:  # in a converted file
        raise CheckpointError(
            f"'{source}' holds no adapters of target_lang: {target_lang}, but of "
            f"{config.get('target_lang') or 'none that it names'}."
        )
    return config, weights


def exchanged(weights, folder, target_lang, inner):
    """Exchanges the adapters for those of another language.

    Arguments
    ---------
    weights : dict
        Names of transformers to tensors.
    folder : pathlib.Path
        Folder of the weights.
    target_lang : str
        The language.
    inner : callable
        Function from the content of the file to the weights of the network in it.

    Returns
    -------
    dict
        The weights with the other adapters.

    Raises
    ------
    CheckpointError
        If there is no file of the language, or it belongs to another model.
    """
    file = _file(folder, target_lang)
    adapters = inner(read(file))
    adapters = {n: t for n, t in adapters.items() if not n.startswith("lm_head.")}
    if adapters.keys() != {name for name in weights if NAMES.match(name)}:
        raise CheckpointError(
            f"'{file}' is of another model: its adapters are not those that the "
            f"weights in '{folder}' have room for."
        )
    return {**weights, **adapters}


def _names(target_lang):
    return [f"adapter.{target_lang}{ending}" for ending in ENDINGS]


def _file(folder, target_lang):
    names = _names(target_lang)
    files = sorted(folder.glob("adapter.*"))
    for file in files:
        if file.name in names:
            return file
    languages = {f.name.removeprefix("adapter.").rpartition(".")[0] for f in files}
    raise CheckpointError(
        f"'{folder}' has no adapters of target_lang: {target_lang}, which would be in "
        f"{names[0]}. {near(target_lang, sorted(languages))}"
    )
