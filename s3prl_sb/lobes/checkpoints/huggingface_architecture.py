"""Configurations of networks of the library transformers, and their classes.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read_json
from s3prl_sb.lobes.networks.huggingface_layouts import TYPES, WHOLE

#: Entries of a configuration that would make features random, or would add modules
#: after the encoder.
FIXED = {
    "add_adapter": False,
    "apply_spec_augment": False,
    "enable_fusion": False,
    "encoder_layerdrop": 0.0,
    "layerdrop": 0.0,
    "mask_feature_prob": 0.0,
    "mask_time_prob": 0.0,
    "speech_encoder_layerdrop": 0.0,
    "use_intermediate_ffn_before_adapter": False,
}
#: Entries that a network is not built from. The available kernels depend on the
#: machine.
LEFT_OUT = (
    "preprocessor",
    "target_lang",
    "attn_implementation",
    "_attn_implementation",
)


def of_tower(entries):
    """Returns the entries of the encoder in those of a larger model.

    Arguments
    ---------
    entries : dict
        Content of ``config.json``, and under ``preprocessor`` that of the feature
        extractor.

    Returns
    -------
    dict
        The same for the encoder alone. Other configurations are unchanged.

    Example
    -------
    >>> of_tower({"model_type": "voxtral", "audio_config": {"d_model": 1280}})
    {'d_model': 1280, 'model_type': 'voxtral_encoder'}
    """
    if entries.get("model_type") not in WHOLE:
        return entries
    kind, places = WHOLE[entries["model_type"]]
    inner = entries
    for place in places:
        inner = inner.get(place)
        if not isinstance(inner, dict):
            raise CheckpointError(
                f"A configuration of model_type: {entries['model_type']} has no "
                f"{'.'.join(places)}, which describes its audio encoder."
            )
    kept = {key: entries[key] for key in ("preprocessor",) if key in entries}
    return {**inner, **kept, "model_type": kind}


def needed_files(folder):
    """Returns the names of the files that hold an encoder in a larger model.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with the JSON files of the model.

    Returns
    -------
    list of str
        Empty if the model is in one file.
    """
    config = folder / "config.json"
    kind = read_json(config).get("model_type") if config.is_file() else None
    kind, _ = WHOLE.get(kind, (kind, ()))
    prefixes = TYPES[kind].prefixes if kind in TYPES else None
    return huggingface_folder.parts(folder, prefixes) if prefixes else []


def architecture(entries, where):
    """Returns the class and the configuration of a network of transformers.

    Arguments
    ---------
    entries : dict
        ``model_type`` and entries that differ from its defaults in transformers.
    where : str
        Source of the entries, for errors.

    Returns
    -------
    config : transformers.PreTrainedConfig
    network : type
        Class of the network.

    Raises
    ------
    MissingExtra
        Without transformers.
    CheckpointError
        For a type that is not known, here or to the installed transformers.
    """
    kind = entries.get("model_type")
    if kind == "mert_model" and not (
        entries.get("feature_extractor_cqt") or entries.get("deepnorm")
    ):
        kind = "hubert"  # by another name
    if kind not in TYPES:
        has_code = "auto_map" in entries
        reason = " It comes with code of its own, which is never run." * has_code
        raise CheckpointError(
            f"{where} has model_type: {kind}.{reason} Known: {', '.join(TYPES)}; "
            f"with all of their models: {', '.join(WHOLE)}"
        )
    config = configuration(kind, entries, where, TYPES[kind].since)
    for key, value in FIXED.items():
        if hasattr(config, key):
            setattr(config, key, value)
    if TYPES[kind].network is None:
        return config, library().MODEL_MAPPING[type(config)]
    module, name = TYPES[kind].network.split(".")
    module = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
    return config, getattr(module, name)


def library():
    """Returns the library transformers.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(
            "This upstream is one of the library transformers: "
            'pip install "s3prl_sb[hf]"'
        ) from error
    return transformers


def configuration(kind, entries, where, since):
    """Returns a configuration of transformers.

    Arguments
    ---------
    kind : str
        ``model_type``.
    entries : dict
        Entries that differ from its defaults.
    where : str
        Source of the entries, for errors.
    since : str
        First version of transformers with this type.

    Returns
    -------
    transformers.PreTrainedConfig

    Raises
    ------
    MissingExtra
        Without transformers.
    CheckpointError
        If the installed version lacks the type.
    """
    transformers = library()
    if kind not in transformers.CONFIG_MAPPING:
        raise CheckpointError(
            f"{where} has model_type: {kind}, which transformers has since version "
            f"{since}; here is {transformers.__version__}: "
            f'pip install "transformers>={since}"'
        )
    entries = {key: entries[key] for key in entries if key not in LEFT_OUT}
    return transformers.CONFIG_MAPPING[kind].from_dict({**entries, "model_type": kind})


def check_known(entries, config):
    """Raises ValueError for entries that transformers would silently ignore.

    Arguments
    ---------
    entries : dict
        Entries of a card.
    config : transformers.PreTrainedConfig
        Configuration that they gave.
    """
    valid = {*type(config)().to_dict(), *config.attribute_map, "preprocessor"}
    unknown = sorted(set(entries) - valid)
    if unknown:
        general = type(config).__mro__[1]().to_dict().keys() - {"model_type"}
        raise ValueError(
            f"Unknown config.{', '.join(unknown)} of {config.model_type}. Known: "
            + ", ".join(sorted(valid - general))
        )
