"""Datasets of universal recognition, and the sizes of the head that they need.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any

from s3prl_sb.brains.recognition_scores import MEASURES
from s3prl_sb.dataio.scene_labels import SceneLabels, event_labels_of, words_tokenizer
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tokenizers import Tokenizer
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.recognizer import KINDS, checked_kinds
from s3prl_sb.lobes.upstreams.fusion import Fusion
from s3prl_sb.startup.configuration import RecipeError

#: Items of an example that each head is trained with.
ITEMS = {
    "speakers": ["activity"],
    "words": ["track_words", "has_words"],
    "events": ["event_labels"],
}
#: What the training set must have for each head, in words.
WANTED = {"speakers": "turns of speakers", "words": "words", "events": "events"}


def recognition_splits(hparams: Mapping[str, Any]) -> tuple[dict, dict, dict]:
    """Returns the datasets of a recipe, and what its Brain and its head need of them.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with scene manifests; ``upstream_model``; ``heads``;
        ``num_speakers``; ``frame_seconds``; ``train_pipes`` and ``eval_pipes``, and the
        keys of the conditions.

    Returns
    -------
    splits : dict
        "train", "valid", "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    known : dict
        Arguments of :class:`RecognitionBrain`: ``references``, ``event_labels`` and
        ``tokenizer``.
    sizes : dict
        Arguments of the head: ``num_events``, ``num_tokens`` and ``part_sizes``.

    Raises
    ------
    RecipeError
        If the training set annotates nothing for one of the heads, or lacks a label of
        another set.
    """
    records = read_splits(hparams)
    train = records["train"]
    words = [word[3] for r in train.values() for word in r["words"] or ()]
    labels = event_labels_of(train)
    _check_heads(hparams, train, words, labels)
    for split, each in records.items():
        unknown = sorted(set(event_labels_of(each)) - set(labels))
        if unknown and "events" in hparams["heads"]:
            raise RecipeError(
                f"{hparams['save_folder']}/{split}.json has events that do not occur "
                f"in training: {', '.join(unknown[:10])}. Remove them, or give them "
                "training examples."
            )
    has_words = "words" in hparams["heads"]
    tokenizer = words_tokenizer(words) if has_words else None
    pipes, keys = scene_pipes(hparams, labels, tokenizer)
    splits = make_splits(hparams, records, pipes, keys)
    known = {"references": records, "event_labels": labels, "tokenizer": tokenizer}
    sizes = {
        "num_events": len(labels),
        "num_tokens": 0 if tokenizer is None else len(tokenizer),
        "part_sizes": part_sizes(hparams["upstream_model"]),
    }
    return splits, known, sizes


def _check_heads(hparams, train, words, labels):
    """Checks that the training set annotates something for each head."""
    have = {
        "speakers": any(record["segments"] for record in train.values()),
        "words": any(word.strip() for word in words),
        "events": labels,
    }
    kinds = checked_kinds(hparams["heads"])
    for kind in kinds:
        if not have[kind]:
            rest = [other for other in KINDS if other in kinds and have[other]]
            fix = f"leave that head out, with --heads '[{', '.join(rest)}]'"
            raise RecipeError(
                f"{hparams['save_folder']}/train.json has no {WANTED[kind]}: "
                f"{fix if rest else 'annotate them, or give other --heads'}."
            )


def check_settings(hparams: Mapping[str, Any]) -> None:
    """Checks the heads of a recipe, and the measure that chooses its checkpoint.

    Arguments
    ---------
    hparams : dict
        Settings: ``heads`` and ``choose_by``.

    Raises
    ------
    RecipeError
        For an unknown head, or a measure that no head is for.

    Example
    -------
    >>> check_settings({"heads": ["events"], "choose_by": "der"})
    Traceback (most recent call last):
    ...
    s3prl_sb.startup.configuration.RecipeError: choose_by der needs the head …
    """
    try:
        kinds = checked_kinds(hparams["heads"])
    except HeadError as error:
        raise RecipeError(str(error)) from error
    measure = hparams["choose_by"]
    needed = MEASURES[measure]
    if needed not in (None, *kinds):
        raise RecipeError(
            f"choose_by {measure} needs the head {needed}, and heads are "
            f"[{', '.join(kinds)}]. Add it, or choose by mean_score."
        )


def scene_pipes(
    hparams: Mapping[str, Any],
    event_labels: Sequence[str],
    tokenizer: Tokenizer | None,
) -> tuple[list[SceneLabels], list[str]]:
    """Returns the pipes that make the targets, and the items of an example.

    Arguments
    ---------
    hparams : dict
        See :func:`recognition_splits`.
    event_labels : list of str
        Labels of the events.
    tokenizer : Tokenizer or None
        Tokenizer of the words.

    Returns
    -------
    (list of SceneLabels, list of str)
    """
    kinds = checked_kinds(hparams["heads"])
    pipe = SceneLabels(
        hparams["upstream_model"],
        hparams["num_speakers"],
        event_labels,
        tokenizer,
        frame_length(hparams["upstream_model"], hparams["frame_seconds"]),
        kinds,
    )
    items = [item for kind in kinds for item in ITEMS[kind]]
    return [pipe], ["id", "sig", "grid_frames", *items]


def part_sizes(upstream) -> list[int]:
    """Returns the sizes of the features of each upstream of a fusion, side by side.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        A fusion, or any other upstream.

    Returns
    -------
    list of int

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> part_sizes(load("mel"))
    [80]
    """
    if not isinstance(upstream, Fusion):
        return [upstream.output_size]
    return [part.stop - part.start for part in upstream.columns.values()]


def frame_length(upstream, frame_seconds: float | None) -> float:
    """Returns the length of a frame of the output.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Any upstream.
    frame_seconds : float, optional
        Setting of the recipe; None: the stride of the upstream.

    Returns
    -------
    float
        Seconds.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> frame_length(load("mel"), None), frame_length(load("mel"), 0.02)
    (0.01, 0.02)
    """
    return frame_seconds or upstream.stride / upstream.sample_rate
