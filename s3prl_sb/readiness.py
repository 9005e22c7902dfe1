"""What can be seen to be wrong with a recipe before its data are looked at.

Preparing a large corpus takes minutes, extracting its features hours. What costs
nothing to find out is found out before: see also :mod:`s3prl_sb.combinations`, of keys
that exclude each other.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib.util
import os
from pathlib import Path

from s3prl_sb.constructors import takes
from s3prl_sb.errors import UserError
from s3prl_sb.files import naming

#: What a language model is decoded with.
FLASHLIGHT = "flashlight"


class NotReadyError(UserError, ValueError):
    """Something that a run would have ended with later."""


def check(hparams, run_opts):
    """Looks whether a run can begin.

    Arguments
    ---------
    hparams : dict
        Of a recipe, made.
    run_opts : dict
        SpeechBrain's options.

    Raises
    ------
    s3prl_sb.errors.UserError
        That names the key.
    """
    check_tables(hparams)
    if hparams.get("cache_folder") and hparams.get("cache") != "off":
        check_writable(hparams["cache_folder"], "cache_folder")
    balance = (hparams.get("train_dataloader_opts") or {}).get("balance")
    if hparams.get("batch_seconds") and balance:
        raise NotReadyError(
            "batch_seconds and balance exclude each other: set batch_seconds to null, "
            'or --train_dataloader_opts "{balance: null}".'
        )
    if hparams.get("lm"):
        check_decoder()
    if hparams.get("lr_search"):
        _check_search(hparams, run_opts)
    if hparams.get("head") is not None:
        _check_head(hparams)


def check_tables(hparams):
    """Makes sure that a table of a user's own is not passed over.

    Arguments
    ---------
    hparams : dict
        Of a recipe.

    Raises
    ------
    NotReadyError
        For tables to validate or test on beside the corpus that is trained on.

    Example
    -------
    >>> check_tables({"train_csv": None, "test_csv": None})
    >>> check_tables({"train_csv": None, "test_csv": "my.csv"})
    Traceback (most recent call last):
    ...
    s3prl_sb.readiness.NotReadyError: test_csv is given without train_csv: …
    """
    first = "train_csv" if "train_csv" in hparams else "documents_csv"
    if first not in hparams or hparams[first]:
        return
    given = [key for key in ("valid_csv", "test_csv") if hparams.get(key)]
    if given:
        raise NotReadyError(
            f"{given[0]} is given without {first}: the corpus' own sets would be "
            f"taken. Give all tables, --{first} FILE; or train on the corpus, and "
            "then: s3prl-sb score RUN --test_csv FILE."
        )


def check_writable(folder, key):
    """Makes sure that files can be written into a folder, which is made.

    Arguments
    ---------
    folder : str
        The folder.
    key : str
        That names it.

    Raises
    ------
    s3prl_sb.errors.UserError
        With the reason.
    """
    place = Path(folder)
    with naming(place, "a place to write to", f"Choose another {key}."):
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13), str(place))


def check_decoder():
    """Makes sure that texts can be decoded with a language model.

    Raises
    ------
    NotReadyError
        Without the extra ``lm``.
    """
    if importlib.util.find_spec(FLASHLIGHT) is None:
        raise NotReadyError(
            "lm: decoding with a language model needs flashlight-text: pip install "
            "'s3prl_sb[lm]', with Python before 3.13. Or give lm: null, and decode "
            "later: s3prl-sb score RUN --lm FILE."
        )


def _check_search(hparams, run_opts):
    if run_opts.get("distributed_launch"):
        raise NotReadyError(
            "lr_search trains in one process: start it without torchrun."
        )
    if not hparams["upstream_model"].freeze:
        raise NotReadyError(
            "lr_search shares one frozen upstream between all learning rates: with "
            "freeze: False choose lr yourself."
        )


def _check_head(hparams):
    """Makes the head once, of another size: what it cannot be is an error now."""
    import torch

    head = hparams["head"]
    names = takes(getattr(head, "func", head))
    if names is None:  # it does not say what it takes
        return
    sizes = {"num_classes": 2} if "num_classes" in names else {}
    with torch.random.fork_rng(devices=[]):  # the run draws what it would have drawn
        made = head(**sizes)
    chain = (hparams.get("featurizer"), made)
    pools = all(getattr(module, "linear", False) for module in chain)
    if hparams.get("cache") == "pooled" and not pools:
        raise NotReadyError(
            "cache: pooled would not be exact: between the hidden states and the mean "
            "over time is something that is not linear. Use cache: frames."
        )
