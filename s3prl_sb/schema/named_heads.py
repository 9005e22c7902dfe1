"""Downstream networks, poolings and encoders by name: ``hparams/heads.yaml``.

Nothing here imports torch: the command line, its help and its completion read names.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import functools
from typing import NamedTuple

from s3prl_sb import resources
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.storage.files import read_yaml
from s3prl_sb.terminal.messages import near

FILE = "heads.yaml"  # in the folder of the cards
#: Labels of a task (``__labels: {are: …}`` in its YAML) to the kind of its heads.
KINDS = {
    "classes": "utterances",
    "tokens": "frames",
    "segments": "frames",
    "frames": "frames",
    "values": "utterances",
    "spectra": "spectra",
    "waveforms": "frames",
}


class NamedHead(NamedTuple):
    """Entry of a downstream network in ``hparams/heads.yaml``.

    Arguments
    ---------
    about : str
        One line about it.
    utterances : str, optional
        Dotted name of the class that returns one vector an utterance.
    frames : str, optional
        Dotted name of the class that returns one vector a frame.
    spectra : str, optional
        Dotted name of the class that returns a spectrogram.
    arguments : dict
        Arguments of the class that the name stands for.
    """

    about: str
    utterances: str | None = None
    frames: str | None = None
    spectra: str | None = None
    arguments: dict = {}

    @property
    def kinds(self) -> list[str]:
        """Kinds of output: "utterances", "frames", or both; or "spectra"."""
        kinds = ("utterances", "frames", "spectra")
        return [kind for kind in kinds if getattr(self, kind)]


def named_heads(labels: str | None = None) -> dict[str, NamedHead]:
    """Returns the downstream networks that have a name.

    Arguments
    ---------
    labels : str, optional
        Labels of a task, see :data:`KINDS`; default: all networks.

    Returns
    -------
    dict
        Names to :class:`NamedHead`, those that fit the labels.

    Example
    -------
    >>> list(named_heads("tokens"))[:4]
    ['linear', 'single_linear', 'mlp', 'hear_mlp']
    >>> named_heads()["ecapa"].kinds
    ['utterances']
    """
    heads = {name: NamedHead(**entry) for name, entry in _file()["heads"].items()}
    if labels is None:
        return heads
    kind = KINDS.get(labels)
    return {name: head for name, head in heads.items() if kind in head.kinds}


def node(name: str, labels: str | None = None) -> tuple[str, dict]:
    """Returns the class of a named head for the labels of a task, and its arguments.

    Arguments
    ---------
    name : str
        Name of a head.
    labels : str, optional
        Labels of the task, see :data:`KINDS`. They may only be left out for a head
        that has one class.

    Returns
    -------
    cls : str
        Dotted name of the class.
    arguments : dict
        Arguments beside the sizes of input and output.

    Raises
    ------
    KeysError
        If there is no such head, or it does not fit the labels; lists those that do.

    Example
    -------
    >>> node("mlp", "tokens")
    ('s3prl_sb.lobes.heads.composed.FrameHead', {'encoder': 'mlp'})
    >>> node("ecapa", "tokens")
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.declarations.KeysError: head: 'ecapa' returns one vector an …
    """
    heads = named_heads()
    if labels is not None and labels not in KINDS:
        raise KeysError(
            f"head: a task whose labels are {labels} has no head to choose by name. "
            "One of its own takes arguments, such as --head '{dropout: 0.2}'."
        )
    if name not in heads:
        hint = near(str(name), list(named_heads(labels)))
        raise KeysError(f"head: there is no head called '{name}'. {hint}")
    head = heads[name]
    if labels is None and len(head.kinds) > 1:
        raise KeysError(
            f"head: '{name}' is for utterances and for frames. Declare the labels in "
            f"the recipe's YAML, __labels: {{are: …}}: {', '.join(KINDS)}."
        )
    kind = head.kinds[0] if labels is None else KINDS[labels]
    if kind not in head.kinds:
        outputs = {
            "utterances": "one vector an utterance",
            "frames": "one vector a frame",
            "spectra": "a spectrogram",
        }
        raise KeysError(
            f"head: '{name}' returns {outputs[head.kinds[0]]}, and the task needs "
            f"{outputs[kind]}. These fit: {', '.join(named_heads(labels))}."
        )
    return getattr(head, kind), copy.deepcopy(head.arguments)


def poolings() -> dict[str, str]:
    """Returns the poolings that have a name.

    Returns
    -------
    dict
        Names to one line about each.

    Example
    -------
    >>> list(poolings())[:3]
    ['mean', 'statistics', 'attentive']
    """
    return dict(_file()["poolings"])


def encoders() -> dict[str, str]:
    """Returns the encoders over frames that have a name.

    Returns
    -------
    dict
        Names to one line about each.

    Example
    -------
    >>> list(encoders())[:3]
    ['linear', 'mlp', 'concat']
    """
    return dict(_file()["encoders"])


@functools.lru_cache(maxsize=1)
def _file():
    path = resources.folder("hparams") / FILE
    return read_yaml(path, "the list of heads", kind=dict, typ="safe")
