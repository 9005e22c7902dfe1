"""Checks of keys of a recipe whose values depend on each other.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math

from s3prl_sb.schema.condition_keys import LABELS, check_conditions
from s3prl_sb.schema.declarations import KeysError, shared

__all__ = ["AMOUNTS", "LABELS", "check_together"]

#: Keys for the amount of training data.
AMOUNTS = ("train_fraction", "train_per_class", "train_hours")


def check_together(values: dict):
    """Checks that the values of a recipe's keys are compatible.

    Arguments
    ---------
    values : dict
        Keys of a recipe and their values, and :data:`LABELS`, which decides the
        conditions that fit. Missing keys are not checked.

    Raises
    ------
    KeysError
        For incompatible values, with values that would work.

    Example
    -------
    >>> check_together({"total_steps": 1000, "steps_per_epoch": 300})
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.declarations.KeysError: total_steps 1000 is no multiple of …
    """
    total, epoch = values.get("total_steps", 0), values.get("steps_per_epoch", 1)
    if total % epoch:
        better = math.gcd(total, epoch)
        raise KeysError(
            f"total_steps {total} is no multiple of steps_per_epoch {epoch}: choose "
            f"both, such as {total} and {better}."
        )
    if values.get("batch_size", 1) is None and not values.get("batch_seconds"):
        count = dataclasses.replace(shared()["batch_size"], optional=False).words()
        raise KeysError(f"batch_size is {count}, not None, without batch_seconds.")
    waits = values.get("unfreeze_after") or 0
    if waits and waits >= total:
        raise KeysError(
            f"unfreeze_after {waits} leaves no update of total_steps {total} to train "
            "the upstream: lower it, or give freeze: True."
        )
    trained = values.get("freeze") is False
    if trained and values.get("cache") in ("pooled", "frames"):
        raise KeysError(
            f"cache: {values['cache']} is impossible, the upstream is trained (freeze: "
            "False): give cache: auto or off."
        )
    few = [f"{key} {values[key]}" for key in AMOUNTS if values.get(key) is not None]
    if len(few) > 1:
        raise KeysError(f"{' and '.join(few)} exclude each other: give one of them.")
    check_conditions(values)
    rates = values.get("lr_search") or ()
    if rates and _is_not_validated(values):
        raise KeysError(
            "lr_search chooses in validation, for which no speakers are held out: set "
            "valid_speakers, or lr_search: null."
        )
    if values.get("patience") and _is_not_validated(values):
        raise KeysError(
            "patience counts validations without a better one, for which no speakers "
            "are held out: set valid_speakers, or patience: null."
        )
    if trained and rates:
        raise KeysError(
            "lr_search shares one frozen upstream between all learning rates: with "
            "freeze: False choose lr yourself."
        )
    if trained and values.get("probe_layers"):
        raise KeysError(
            "probe_layers shares one frozen upstream between the probes of all hidden "
            "states: give freeze: True, and no adapter."
        )
    if values.get("weights_of") and not values.get("probe_layers"):
        raise KeysError(
            "weights_of is drawn beside the scores of all hidden states: give "
            "probe_layers: True."
        )
    if len(set(rates)) < len(rates):
        raise KeysError(
            "lr_search is a list of different learning rates, such as [0.1, 0.01], not "
            f"{rates}."
        )


def _is_not_validated(values):
    """Returns whether verification trains on all speakers of a corpus."""
    return values.get("valid_speakers") == 0 and not values.get("train_csv")
