"""Pre-trained upstreams as they go to the hub: a card, weights, and their facts.

Uploaded is what ``s3prl-sb convert`` and pre-training write: ``card.yaml`` with
the safetensors that it names, the weights of the objective, and user-defined Python
files. The card is written from its nodes, without comments and private facts.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from s3prl_sb import own
from s3prl_sb.brains.pretrained_card import FACTS, ORIGINS
from s3prl_sb.errors import printable
from s3prl_sb.foreign import UPSTREAM, Document, beside
from s3prl_sb.foreign.trust import is_trusted
from s3prl_sb.hyperyaml.nodes import drop_comments, plain
from s3prl_sb.lobes.cards.catalogue import NOT_STATED, about, stated_by
from s3prl_sb.lobes.cards.finding import names, notes, only_entry, read_cards
from s3prl_sb.lobes.cards.loading import load
from s3prl_sb.lobes.cards.objective_files import file_name
from s3prl_sb.lobes.cards.places import CARD
from s3prl_sb.lobes.cards.writing import card_text, class_of, is_file, yaml_text
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.sharing import licences
from s3prl_sb.sharing.contents import check_texts
from s3prl_sb.sharing.licences import NO_WEIGHTS, Terms
from s3prl_sb.sharing.private import Private, PrivateError, paths_in
from s3prl_sb.sharing.uploads import (
    RESULTS,
    PushError,
    Upload,
    own_text,
    with_checksums,
)
from s3prl_sb.sharing.upstream_card import Pretrained, upstream_card
from s3prl_sb.storage.files import naming, read_json
from s3prl_sb.storage.tensor_files import read_metadata, read_safetensors
from s3prl_sb.terminal.messages import few

KIND = "a pre-trained upstream"
#: First line of a card that was uploaded.
MARK = "# Written by s3prl-sb push"
AGAIN = "Take it out where it comes from, and make the folder again."


class _Card(NamedTuple):
    """The card of an upstream and the weights that it names."""

    file: Path
    name: str
    node: Any
    kind: str  #: class, as its author writes it
    weights: Path

    @property
    def folder(self):
        return self.file.parent


def prepared_upstream(
    file: Path,
    name: str,
    room: Path,
    token: str | None = None,
    licence: str | None = None,
    licence_accepted: bool = False,
    text: str | Path | None = None,
) -> Upload:
    """Collects and checks an upstream that goes to the hub, without a network.

    Arguments
    ---------
    file : pathlib.Path
        Its card.
    name : str
        ``owner/name``, optionally with ``@REVISION``, as the model card says to load
        it.
    room : pathlib.Path
        Empty folder, for weights that must stay as they are until they are sent.
    token : str, optional
        Key that must not be in any file.
    licence, licence_accepted
        See :func:`~s3prl_sb.sharing.pushing.push`.
    text : str, optional
        Markdown file with text of the author's own for the model card.

    Returns
    -------
    s3prl_sb.sharing.uploads.Upload

    Raises
    ------
    s3prl_sb.errors.UserError
        If the upstream would not load elsewhere, is damaged, holds private facts, or
        may not be passed on.
    """
    card = _read(file)
    with naming(file, "a card of pre-training"):
        facts, about_it = plain(notes(file, FACTS)), _about(card)
        if not isinstance(facts, dict):
            raise ValueError(f"its {FACTS} is {facts!r}")
    results = _results(card, facts)
    known = [card.folder, card.folder.absolute().parent]
    private = Private([*known, *paths_in(results)], token=token)
    facts, about_it, results = map(private.scrubbed, (facts, about_it, results))
    code = _code(card)
    files: dict[str, Path | bytes] = {**code}
    weights = _weights(card)
    files |= {path.name: _kept(path, room) for path in weights}
    files[CARD] = _text(card, facts, about_it).encode()
    if results:
        files[RESULTS] = (json.dumps(results, indent=2) + "\n").encode()
    private.check(files, AGAIN)
    _check_values(card, weights, private)
    network = _network(card, bool(code))
    terms = _terms(card.name, facts, about_it)
    allowed = licences.decided(terms, licence, licence_accepted, KIND)
    made = Pretrained(
        name=name,
        label=card.name,
        kind=card.kind,
        network=network,
        pretraining=facts,
        about=about_it,
        results=results,
        terms=terms,
        code=sorted(code),
        licence=allowed,
    )
    with naming(file, "a card of pre-training"):
        upstream_card(made)  # its faults are found before anything is sent
    return Upload(
        KIND,
        with_checksums(files),
        f"{card.name}, an upstream",
        functools.partial(upstream_card, made),
        f"s3prl-sb check {name}",
        own_text(text, private),
    )


def _read(file):
    """Returns the only card of a file, whose weights are ours and beside it."""
    entries = read_cards(file)
    name = only_entry(entries, file, str(file))
    node = entries[name]
    values = plain(node) if isinstance(node, dict) else {}
    source = values.get("source")
    path = file.parent / str(source)
    is_beside = isinstance(source, str) and path.is_file() and path.name == source
    is_ours = is_beside and converted(path) is not None
    rest = {key: value for key, value in values.items() if key not in ("source", "tag")}
    further = [key for key, value in rest.items() if is_file(value)]
    if further or not is_ours:
        why = f"the weights of {name} are {source!r}, and no file of s3prl-sb beside it"
        if is_ours:
            why = f"{few(further)} names another file"
        raise PushError(
            f"'{file}': {printable(why)}.\nRun `s3prl-sb convert {file} FOLDER`, and "
            "push FOLDER."
        )
    check_texts(rest, file, f"in {file.name}")
    drop_comments(node)
    return _Card(file, name, node, class_of(node), path)


def _about(card):
    """Returns the facts that the card states, such as its licence."""
    name = f"{card.file}:{card.name}" if card.file.suffix == ".yaml" else card.file
    facts = {key: value for key, value in stated_by(str(name)).items() if value}
    for key, value in facts.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} under _about is {value!r}, and no text")
    return facts


def _results(card, facts):
    """Returns the results of the pre-training that the weights are of, or none."""
    path = card.folder / RESULTS
    if not facts or not path.is_file():
        return {}
    results = read_json(path, "the results of a run", kind=dict)
    is_theirs = results.get("best_step") == facts.get("steps")
    return results if is_theirs and results.get("task") == facts.get("task") else {}


def _weights(card):
    """Returns the files of weights, whose checksums are right."""
    objective = card.folder / file_name(card.weights.name)
    paths = [card.weights, *([objective] if objective.is_file() else [])]
    for path in paths:
        read_safetensors(path, "weights", "Make the folder again.", signed=True)
    return paths


def _check_values(card, weights, private):
    """Checks the arguments of a card, and those that its weights hold, for paths that
    are no folders of this machine."""
    values = {card.file.name: plain(card.node)}
    values |= {path.name: read_metadata(path, "weights") for path in weights}
    for name, inside in values.items():
        if (text := private.first_in(inside)) is not None:
            raise PrivateError(
                f"'{printable(name)}' holds '{printable(text)}', for everybody to "
                f"read. {AGAIN}"
            )


def _kept(path, room):
    """Returns a file that stays until it is sent: a training replaces its own."""
    place = room / path.name
    try:
        os.link(path.resolve(), place)  # a link to a link might lead nowhere
    except OSError:  # another disk
        return path
    return place


def _code(card):
    """Returns the user-defined modules of a card, ``{name: bytes}``."""
    folder = card.folder.resolve()
    module = beside(card.kind, folder)
    if not module:
        return {}
    closure = own.closure(folder, module).values()
    return {file.relative_to(folder).as_posix(): text for file, text in closure}


def _network(card, has_code):
    """Returns facts about the network, which is loaded if that runs no foreign code."""
    entries = {card.name: card.node}
    document = Document(entries, {card.name: UPSTREAM}, card.folder.resolve())
    if (has_code or document.foreign()) and not is_trusted(card.file):
        return {}
    upstream = load(str(card.file))
    sizes = dict.fromkeys(map(str, upstream.output_sizes))
    count = sum(weight.numel() for weight in upstream.network.state_dict().values())
    return {
        "hidden states": f"{upstream.num_layers} of {', '.join(sizes)}",
        "weights": f"{count:,}",
        "stride, samples": upstream.stride,
        "sample rate, Hz": upstream.sample_rate,
    }


def _text(card, facts, about_it):
    """Returns the text of a card, without comments."""
    parts = [f"{MARK}.\n"]
    parts += [yaml_text({FACTS: facts})] if facts else []
    parts += [yaml_text({"_about": {"*": about_it}})] if about_it else []
    return "".join([*parts, card_text(card.name, card.node, card.weights.name)])


def _terms(name, facts, about_it):
    """Returns the terms of the weights, and of those that they were made from."""
    origins = [str(facts[key]) for key in ORIGINS if key in facts]
    if about_it.get("licence"):
        return Terms(about_it["licence"], True, name)
    if not facts:
        return Terms(NOT_STATED, True, name)
    if not origins:
        return Terms(NO_WEIGHTS, False, name)
    return Terms("; ".join(dict.fromkeys(_licences(origins))), True, ", ".join(origins))


def _licences(upstreams: Iterable[str]) -> Iterable[str]:
    for upstream in upstreams:
        known = about(upstream)["licence"] if upstream in names() else None
        yield known or NOT_STATED
