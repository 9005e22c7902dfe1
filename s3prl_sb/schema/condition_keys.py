"""Checks of the conditions of a recipe: noise, reverberation, speed, crops, chunks.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.schema.declarations import KeysError, shared
from s3prl_sb.terminal.messages import near

#: Key of a recipe's YAML that says what is learned: ``{are: classes}``, or tokens,
#: texts, segments, scenes, frames, values, waveforms or occurrences;
#: ``one_per: utterance`` if all frames of an utterance have the same label.
LABELS = "__labels"
#: Mappings with the entries that each of them needs.
NEEDED = {"noise": "snr", "reverb": "folder"}
EXAMPLES = {"snr": "{snr: [0, 15]}, dB", "folder": "{folder: DIR}"}
NO_CLASSES = "there are no classes. Give train_hours instead, or train_fraction"
ECHO = "the sources have no echo, and would not be parts of the mixture"
#: Labels to the keys that do not fit them, with the reasons.
REFUSED = {
    "tokens": {
        "crop_seconds": "a part of the audio does not have the whole text",
        "chunk_seconds": "a part of the audio does not have the whole text",
        "train_per_class": NO_CLASSES,
    },
    "texts": {
        "crop_seconds": "a part of the audio does not have the whole text",
        "chunk_seconds": "a part of the audio does not have the whole text",
        "train_per_class": NO_CLASSES,
    },
    "segments": {
        "chunk_seconds": "the recipe has chunks already, of chunk_frames",
        "test_speed": "the true segments of the test stay where they are",
        "train_per_class": NO_CLASSES,
    },
    "scenes": {
        "test_speed": "the true times of the test stay where they are",
        "train_per_class": NO_CLASSES,
    },
    "values": {"train_per_class": NO_CLASSES},
    "frames": {"train_per_class": NO_CLASSES},
    "spectra": {
        "speed": "the target speech keeps its speed",
        "train_per_class": NO_CLASSES,
    },
    "waveforms": {
        "reverb": ECHO,
        "test_reverb": ECHO,
        "train_per_class": NO_CLASSES,
    },
}


def check_conditions(values: dict):
    """Checks that the conditions of a recipe are complete, and fit its labels.

    Arguments
    ---------
    values : dict
        See :func:`s3prl_sb.schema.combinations.check_together`.

    Raises
    ------
    KeysError
        For a condition that is impossible, with what would work.

    Example
    -------
    >>> check_conditions({"noise": {"snr": [15, 0]}})
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.declarations.KeysError: noise.snr is a number or [lowest, …
    """
    for key in ("noise", "reverb", "test_noise", "test_reverb"):
        if isinstance(values.get(key), dict):
            _check_mapping(key, values[key])
    if values.get("crops") is not None and values.get("crop_seconds", 0) is None:
        raise KeysError(
            f"crops {values['crops']} has no effect without crop_seconds: set it too, "
            "such as --crop_seconds 8."
        )
    labels = values.get(LABELS)
    if isinstance(labels, dict):
        kind = labels.get("one_per", labels.get("are"))
        _check_labels(values, str(kind))


def _check_mapping(key, values):
    """Checks the entries of a mapping of noise or reverberation."""
    entries = shared()[key].inside
    for name in values:
        if name not in entries:
            raise KeysError(
                f"There is no key '{key}.{name}'. "
                + near(str(name), list(entries), f"{key}.")
            )
    needed = NEEDED[key.removeprefix("test_")]
    if values.get(needed) is None:
        raise KeysError(
            f"{key} has no {needed}: give it, such as --{key} '{EXAMPLES[needed]}'."
        )
    snr = values.get("snr")
    if isinstance(snr, (list, tuple)) and (len(snr) != 2 or snr[0] > snr[1]):
        raise KeysError(
            f"{key}.snr is a number or [lowest, highest], dB, such as [0, 15], not "
            f"{list(snr)}."
        )


def _check_labels(values, labels):
    """Checks that the conditions fit what is learned."""
    for key, reason in REFUSED.get(labels, {}).items():
        if values.get(key) is not None:
            raise KeysError(f"{key} {values[key]} does not fit this task: {reason}.")
