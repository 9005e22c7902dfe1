"""Checks of a recipe before its data are read.

Preparing a large corpus takes minutes, extracting its features hours. Cheap checks
therefore come first; see also :mod:`s3prl_sb.schema.combinations` for keys that exclude
each other.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from pathlib import Path

from s3prl_sb import own
from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.schema.constructors import takes
from s3prl_sb.schema.named_heads import KINDS
from s3prl_sb.startup.configuration import SCHEMA, RecipeError
from s3prl_sb.startup.layer_weights import weights_of_run
from s3prl_sb.startup.named import labels_of
from s3prl_sb.startup.preconditions import (
    batches_of_a_process,
    can_pool,
    check_layers,
    check_optimization,
    check_search,
)
from s3prl_sb.storage.files import naming
from s3prl_sb.terminal.messages import reason

logger = logging.getLogger(__name__)

#: Size of the batch that a head is tried on: a second of most upstreams.
FRAMES, CLASSES = 50, 2


def check(hparams: dict):
    """Checks that a run can begin.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe.

    Raises
    ------
    s3prl_sb.errors.UserError
        For a setting that cannot work; it names the key.
    """
    from s3prl_sb.dataio import conditions
    from s3prl_sb.dataio.sampler import check_batches
    from s3prl_sb.metrics.translation import tokenizer_for

    check_tables(hparams)
    for pipes_of in (conditions.train_pipes, conditions.test_pipes):
        pipes_of(hparams)  # made once, so that their errors are raised now
    if hparams.get("cache_folder") and hparams.get("cache") != "off":
        check_writable(hparams["cache_folder"], "cache_folder")
    balance = (hparams.get("train_dataloader_opts") or {}).get("balance")
    check_batches(hparams.get("batch_seconds"), balance)
    if hparams.get("lm"):
        for key in ("lm", "lexicon"):
            for fault in absent(key, hparams.get(key)):
                raise RecipeError(f"{fault}: correct the path.")
        check_decoder()
    if hparams.get("target") == "translation":
        tokenizer_for(hparams["bleu_tokenize"], hparams["target_language"])
    if hparams.get("upstream_model") is not None:
        check_optimization(hparams)
    if hparams.get("lr_search"):
        check_search(hparams)
    if hparams.get("probe_layers"):
        check_layers(hparams)
        weights_of_run(hparams)
    if hparams.get("head") is not None:
        _check_head(hparams)
    if "train_data" in hparams:
        _check_pretraining(hparams)


def absent(key, value):
    """Lists the files and folders of a key that do not exist.

    Arguments
    ---------
    key : str
        Name of the key.
    value : str or list of str or None
        Path, or paths.

    Returns
    -------
    list of str
        Sentences without a full stop.

    Example
    -------
    >>> absent("lm", "none.arpa"), absent("lm", None)
    (["lm: 'none.arpa' is not there"], [])
    """
    paths = value if isinstance(value, (list, tuple)) else [value]
    there = [not path or Path(str(path)).expanduser().exists() for path in paths]
    return [f"{key}: '{p}' is not there" for p, is_ in zip(paths, there) if not is_]


def check_tables(hparams):
    """Checks that no user-defined table is ignored, and warns if a corpus is.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe.

    Raises
    ------
    RecipeError
        For tables to validate or test on while the training set is a corpus.

    Example
    -------
    >>> check_tables({"train_csv": None, "test_csv": None})
    >>> check_tables({"train_csv": None, "test_csv": "my.csv"})
    Traceback (most recent call last):
    ...
    s3prl_sb.startup.configuration.RecipeError: test_csv is given without train_csv: …
    """
    first = "train_csv" if "train_csv" in hparams else "documents_csv"
    if hparams.get(first) and hparams.get("data_folder"):
        logger.warning("data_folder is not read: %s has the data.", first)
    if first not in hparams or hparams[first]:
        return
    tables = [key for key in ("valid_csv", "test_csv") if hparams.get(key)]
    if tables:
        raise RecipeError(
            f"{tables[0]} is given without {first}: the corpus' own sets would be "
            f"taken. Give all tables, --{first} FILE; or train on the corpus, and "
            "then: s3prl-sb score RUN --test_csv FILE."
        )


def check_writable(folder, key):
    """Makes a folder and checks that files can be written into it.

    Arguments
    ---------
    folder : str
        Folder.
    key : str
        Key of the recipe that sets it.

    Raises
    ------
    s3prl_sb.errors.UserError
        If the folder is not writable, with the reason.
    """
    place = Path(folder)
    with naming(place, "a place to write to", f"Choose another {key}."):
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13), str(place))


def _check_pretraining(hparams):
    """Checks what a pre-training needs besides: audio, and batches to share."""
    from s3prl_sb.lobes.cards.continuing import saved_objective
    from s3prl_sb.lobes.cards.initializing import check_init

    batches_of_a_process(hparams)
    if not hparams["train_data"]:
        raise RecipeError(
            "--train_data is missing, the audio to learn from: a folder, a list of "
            "files, tar shards, or several of them, [A, B]."
        )
    if hparams.get("init") and not hparams["checkpointer"].list_checkpoints():
        check_init(hparams["upstream_model"], hparams["init"])
        if hparams.get("init_objective"):
            saved_objective(hparams["init"])


def check_decoder():
    """Checks that decoding with a language model is possible.

    Raises
    ------
    MissingExtra
        If the extra ``lm`` is not installed.
    """
    from s3prl_sb.lobes.ctc_decoding import beam_search

    try:
        beam_search()
    except MissingExtra as error:
        raise MissingExtra(
            f"{error}\nOr train without --lm, and decode later: s3prl-sb score RUN "
            "--data_folder DIR --lm FILE."
        ) from error


def _check_head(hparams):
    """Makes the head once, and checks it on features of an upstream of this size."""
    import torch

    head = hparams["head"]
    labels = labels_of(hparams[SCHEMA].tree) if SCHEMA in hparams else {}
    names = takes(getattr(head, "func", head))
    if names is None and "are" not in labels:
        return  # its signature is not known
    is_sized = "size" in labels or names is not None and "num_classes" not in names
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # the run's numbers stay
        size = _check_features(hparams, labels)
        try:
            outputs = _outputs(labels, hparams)
            made = head(**({} if is_sized else {"num_classes": outputs}))
        except UserError as error:  # of a part, which does not know the key
            place = _place(hparams)
            said = str(error).removeprefix(f"{place}: ")
            raise RecipeError(f"{place}: {said}") from error
        can_pool(hparams.get("cache"), hparams.get("featurizer"), made)
        if size is not None and labels["are"] in KINDS:
            _check_output(made.eval(), size, labels, hparams)


def _check_features(hparams, labels):
    """Returns the size of the features, which the head's ``input_size`` must be; None
    if the recipe does not declare what its head returns."""
    import torch

    upstream, featurizer = hparams.get("upstream_model"), hparams.get("featurizer")
    if upstream is None or featurizer is None or "are" not in labels:
        return None
    states = [torch.zeros(2, 1, size) for size in upstream.output_sizes]
    try:
        size = featurizer(states).shape[-1]
    except ValueError as error:
        raise RecipeError(f"featurizer: {reason(error)}.") from error
    given = getattr(hparams["head"], "keywords", {}).get("input_size", size)
    if isinstance(given, int) and given != size:
        raise RecipeError(
            f"{_place(hparams)}: its input_size is {given}, and the features of "
            f"{hparams.get('upstream_name', 'the upstream')} have the size {size}. "
            f"Leave input_size out, or give {size}."
        )
    return size


def _check_output(head, size, labels, hparams):
    """Checks the shape of a head's output against what the labels need."""
    import torch

    features, lens = torch.randn(2, FRAMES, size), torch.tensor([1.0, 0.6])
    name = own.plain_name(type(head))
    try:
        shape = list(head(features, lens).shape)
    except Exception as error:  # the network of a user may raise anything
        raise RecipeError(
            f"{_place(hparams)}: {name} fails on features [2, {FRAMES}, {size}] and "
            f"relative lengths [2]: {reason(error)}."
        ) from error
    if labels["are"] == "spectra":
        return  # its frames are those of the target
    wanted = [2, _outputs(labels, hparams)]
    unit = KINDS.get(labels["are"], "frames").removesuffix("s")
    if unit == "frame":
        wanted.insert(1, FRAMES)
        if labels["are"] == "tokens" and len(shape) == 3:  # CTC allows fewer frames
            wanted[1] = min(shape[1], FRAMES)
    if shape != wanted:
        raise RecipeError(
            f"{_place(hparams)}: {name} returns {shape} for features [2, {FRAMES}, "
            f"{size}], and {labels['are']} need {wanted}: a vector for each "
            f"{unit}."
        )


def _outputs(labels, hparams):
    """Returns the size of the vectors that a head returns in the check."""
    if labels.get("are") == "values":  # their number is known before the data are
        return len(hparams.get("values") or ["value"])
    return hparams.get(labels.get("size"), CLASSES)


def _place(hparams):
    """Returns the place of the head in errors: an option, or a file and a line."""
    return getattr(hparams["head"], "place", "") or "head"
