"""Adapters of languages, as MMS publishes them: which of them a model gets.

Pratap et al., "Scaling Speech Technology to 1,000+ Languages",
https://arxiv.org/abs/2305.13516. Beside the weights of the model, which hold the
adapters of one language, lie files of others, ``adapter.<language>.safetensors``.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re

from s3prl_sb.lobes.checkpoints import building
from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.fetch import fetch_more
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.terminal.messages import near

#: Their weights in transformers' network.
NAMES = re.compile(r"encoder\.layers\.\d+\.adapter_layer\.")
ENDINGS = (".safetensors", ".bin")


def read_source(source, reader, target_lang=None):
    """A checkpoint with the adapters of a language.

    Arguments
    ---------
    source : str or list of str
        See :func:`~s3prl_sb.lobes.checkpoints.building.read_source`.
    reader : callable
        As there; with a language it gets ``target_lang`` as well, and says it in
        the configuration.
    target_lang : str, optional
        None: the adapters that are among the weights, if there are some.

    Returns
    -------
    config : dict
    weights : dict

    Raises
    ------
    CheckpointError
        If the checkpoint has none of this language.
    """
    if target_lang is None:
        return building.read_source(source, reader)
    target_lang = str(target_lang)
    if re.fullmatch(r"[\w-]+", target_lang):  # and no pattern for all that there are
        fetch_more(source, _names(target_lang))
    reader = functools.partial(reader, target_lang=target_lang)
    config, weights = building.read_source(source, reader)
    if config.get("target_lang") != target_lang:  # of a conversion
        raise CheckpointError(
            f"'{source}' holds no adapters of target_lang: {target_lang}, but of "
            f"{config.get('target_lang') or 'none that it names'}."
        )
    return config, weights


def exchanged(weights, folder, target_lang, inner):
    """The weights with the adapters of another language.

    Arguments
    ---------
    weights : dict
        transformers' names to tensors.
    folder : pathlib.Path
        Where they come from.
    target_lang : str
        The language.
    inner : callable
        Takes the content of the file, gives what it has of the network.

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If there is no file of the language, or one of another model.
    """
    file = _file(folder, target_lang)
    found = inner(checkpoints.read(file))
    found = {n: t for n, t in found.items() if not n.startswith("lm_head.")}
    if found.keys() != {name for name in weights if NAMES.match(name)}:
        raise CheckpointError(
            f"'{file}' is of another model: its adapters are not those that the "
            f"weights in '{folder}' have room for."
        )
    return {**weights, **found}


def _names(target_lang):
    return [f"adapter.{target_lang}{ending}" for ending in ENDINGS]


def _file(folder, target_lang):
    names = _names(target_lang)
    files = sorted(folder.glob("adapter.*"))
    for file in files:
        if file.name in names:
            return file
    known = {f.name.removeprefix("adapter.").rpartition(".")[0] for f in files}
    raise CheckpointError(
        f"'{folder}' has no adapters of target_lang: {target_lang}, which would be in "
        f"{names[0]}. {near(target_lang, sorted(known))}"
    )
