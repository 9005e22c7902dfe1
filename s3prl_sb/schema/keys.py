"""What the keys of a recipe are: one schema, from which all else follows.

A key that several recipes have is declared once in ``recipes/keys.yaml``, which also
says what a declaration consists of; a key of one task in that recipe's YAML, under
``__keys`` (SpeechBrain drops what begins so)::

    __keys:
        label_smoothing: {is: number, from: 0, to: 1}
    label_smoothing: 0.1

What a key is decides what is accepted for it on the command line, in YAML files and in
budgets, what ``--help`` says of it, whether a run goes on with another value, and
whether a number is still one of SUPERB's protocol. A key that nobody has declared is
what its value in the recipe is, is kept, and counts.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import io
import os
from pathlib import Path

from s3prl_sb import own, resources
from s3prl_sb.hyperyaml.nodes import line_of, plain, referred, shown, tag, written
from s3prl_sb.identity import opened
from s3prl_sb.schema import kinds
from s3prl_sb.schema.declarations import KeysError, declared, shared, undeclared
from s3prl_sb.schema.defaults import merged_with_defaults
from s3prl_sb.storage.files import read_yaml
from s3prl_sb.storage.yaml_texts import yaml_parser

__all__ = ["KeysError", "Schema", "shared"]

OWN = "__keys"  # in a recipe: its own declarations


class Schema:
    """The keys of one recipe.

    Arguments
    ---------
    file : pathlib.Path
        The recipe's YAML.
    tree : dict
        Content of the file, as ruamel.yaml reads it: tags are kept, nothing is made.
        The defaults that it names are merged into it.
    origins : dict, optional
        From :func:`~s3prl_sb.schema.defaults.merged_with_defaults`.

    Example
    -------
    >>> schema = Schema.of_recipe("SUPERB/KS")
    >>> schema.check("lr", "1e-4")
    0.0001
    >>> schema.is_path("data_folder"), schema["total_steps"].is_kept
    (True, False)
    """

    def __init__(self, file, tree, origins=None):
        self.file, self.tree, self.origins = Path(file), tree, origins or {}
        for key in tree:
            if not isinstance(key, str):
                line = line_of(tree, key)
                raise KeysError(
                    f"{shown(file)}, line {line}: a key is a text, not {written(key)}."
                )
        self.own = declared(tree.get(OWN) or {}, self.file)
        self.declarations = {**shared(), **self.own}

    @classmethod
    def of(cls, hparams_file):
        """The schema of a recipe's YAML, also of a copy of one's own.

        Arguments
        ---------
        hparams_file : str
            The file.

        Returns
        -------
        Schema

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If it is no YAML.
        KeysError
            For a declaration that says nothing.
        """
        path = os.path.abspath(hparams_file)
        state = tuple(opened.state(path)) if os.path.isfile(path) else None
        return cls(hparams_file, *_read(str(hparams_file), path, state))

    @classmethod
    def of_recipe(cls, name):
        """The schema of a recipe as it is installed: SUPERB's own values.

        Arguments
        ---------
        name : str
            Such as "SUPERB/KS".

        Returns
        -------
        Schema

        Raises
        ------
        KeyError
            If there is no such recipe.
        """
        return cls.of(resources.recipes()[name] / "hparams" / "train.yaml")

    def __iter__(self):
        return (str(key) for key in self.tree if not str(key).startswith("__"))

    def __contains__(self, key):
        return key in self.tree and not str(key).startswith("__")

    def __getitem__(self, key):
        """What a key is; also of one that nobody has declared."""
        found = self.declarations.get(key)
        return found or undeclared(key, self.tree.get(key))

    def place(self, key):
        """Returns where a key is set.

        Arguments
        ---------
        key : str
            A key of the recipe.

        Returns
        -------
        str
            A file and a line, for errors: the recipe, or the file of defaults.
        """
        file, line = self.origins.get(key, (self.file, line_of(self.tree, key)))
        return f"{shown(file)}, line {line}"

    def is_path(self, key):
        """Whether a key holds a path, or paths.

        Arguments
        ---------
        key : str
            Of this recipe.

        Returns
        -------
        bool
        """
        return self[key].is_path

    def check(self, key, value, where=""):
        """A value of a key as it is meant, or an error that says what would do.

        Arguments
        ---------
        key : str
            Of this recipe.
        value : object
            As YAML gives it. What is written with a tag (``!ref``, ``!new:``) is left
            alone: only its outcome can be looked at.
        where : str
            Comes before the key in the error: "--", or a file and a line.

        Returns
        -------
        object
            ``"1e-4"`` for a number is 0.0001, ``"no"`` for a flag False.

        Raises
        ------
        KeysError
            With the key, the value and what is wanted.
        """
        return _checked(self[key], value, self.tree.get(key), f"{where}{key}")

    def check_made(self, key, value, where=""):
        """A value of a key as it was made, or an error that says what would do.

        Arguments
        ---------
        key : str
            Of this recipe.
        value : object
            What it has become.
        where : str
            Comes before the key in the error.

        Returns
        -------
        object

        Raises
        ------
        KeysError
            With the class, or the kind, that is wanted.
        """
        declaration = self[key]
        if declaration.is_plain:  # of what has a tag the outcome is known now alone
            return _checked(declaration, value, None, f"{where}{key}")
        if declaration.is_made and not declaration.is_what_it_should(value):
            raise KeysError(
                f"{where}{key} is {_words(declaration)}, not {_kind(value)}."
            )
        return value

    def kept(self, values):
        """What a run has to go on with, of some keys and their values.

        Arguments
        ---------
        values : dict
            Such as :data:`s3prl_sb.startup.configuration.RECIPE` holds.

        Returns
        -------
        dict
            Without the keys that are free on resume, also inside of mappings.
        """
        return _chosen(values, self, "is_kept")

    def counting(self, values):
        """What the number of a run depends on, of some keys and their values.

        Arguments
        ---------
        values : dict
            As for :meth:`kept`.

        Returns
        -------
        dict
            Without the keys that say how it is computed, such as ``num_workers``, and
            where it writes, also inside of mappings.
        """
        return _chosen(values, self, "counts")

    def changed(self, values):
        """The keys whose values are not the recipe's own.

        Arguments
        ---------
        values : dict
            As for :meth:`kept`: references as they are written.

        Returns
        -------
        dict
            Key to value; of a mapping, or arguments, those that differ.
        """
        default = plain(self.tree)
        default.update(self._computed(values))
        return _changed(values, default, self)

    def protocol(self, values, changed=None):
        """Where a run departs from SUPERB's protocol.

        Arguments
        ---------
        values : dict
            As for :meth:`kept`.
        changed : dict, optional
            What :meth:`changed` says of them, if that is known already.

        Returns
        -------
        dict
            Like :meth:`changed`, but only keys that belong to the protocol, with
            values that do not. Empty: it is SUPERB's own.
        """
        changed = self.changed(values) if changed is None else changed
        return _departures(changed, self)

    def _computed(self, values):
        """What the recipe's own calls give for these values: an upstream's card."""
        from s3prl_sb.hyperyaml import programs

        made = [k for k in self if tag(self.tree[k]).startswith("!applyref:")]
        # Only what these calls refer to, at any depth: a recipe is long.
        wanted, left = {}, list(made)
        while left:
            key = left.pop()
            if key not in wanted and key in self.tree:
                given = key in values and key not in made and self[key].is_plain
                wanted[key] = values[key] if given else self.tree[key]
                left += referred(wanted[key])
        stream = io.StringIO()
        yaml_parser().dump(wanted, stream)
        stream.seek(0)
        stream.name = str(self.file)  # what is included lies beside it
        try:
            text = programs.resolve(stream)
        except Exception:  # a card that is gone: then all of it differs
            return {}
        resolved = plain(yaml_parser().load(text))
        as_written = plain(self.tree)
        return {k: resolved[k] for k in made if values.get(k) != as_written[k]}


@functools.lru_cache(maxsize=16)  # a start asks several times
def _read(file, path, state):
    return merged_with_defaults(read_yaml(file, "a recipe", kind=dict), file)


def _checked(declaration, value, default, where):
    if tag(value) and not declaration.is_made:
        return value
    if isinstance(value, dict) and (
        declaration.inside or declaration.kind == "mapping"
    ):
        for key, inner in value.items():
            if key in declaration.inside:
                node = default.get(key) if isinstance(default, dict) else None
                name = f"{where}.{key}"
                value[key] = _checked(declaration.inside[key], inner, node, name)
    try:
        return declaration.value(value)
    except kinds.WrongKind:
        pass
    example = ""
    if declaration.is_plain and not declaration.choices and not tag(default):
        if default is not None and declaration.kind != "flag" and default != value:
            example = f", such as {written(default)}"
    message = f"{where} is {_words(declaration)}{example}, not {written(value)}."
    if declaration.is_made and not isinstance(value, dict):
        message += " Change it in a copy of the YAML, or give arguments: {name: value}."
    raise KeysError(message) from None


def _words(declaration):
    """What a key is, with the class of what is made."""
    words = declaration.words()
    return f"{words} (a {declaration.of})" if declaration.of else words


def _chosen(values, among, wanted):
    """The keys whose declarations say so, also inside of mappings."""
    found = {}
    for key, value in values.items():
        declaration = _of(among, key)
        if declaration is None or getattr(declaration, wanted):
            inside = value
            if isinstance(value, dict) and declaration is not None:
                inside = _chosen(value, declaration.inside, wanted)
            if inside or not value:
                found[key] = inside
    return found


def _changed(values, default, among):
    found = {}
    for key, value in values.items():
        before = default.get(key, ...)
        declaration = _of(among, key)
        if declaration is not None and not tag(before):
            try:  # 1e-4 and 0.0001 are the same
                before = declaration.value(before)
            except kinds.WrongKind:
                pass
        if isinstance(value, dict) and isinstance(before, dict):
            inside = _changed(value, before, declaration.inside if declaration else {})
            inside |= {key: None for key in before.keys() - value.keys()}
            if inside:
                found[key] = inside
        elif value != before or isinstance(value, bool) != isinstance(before, bool):
            found[key] = value
    return found


def _departures(changed, among, otherwise=True):
    found = {}
    for key, value in changed.items():
        declaration = _of(among, key)
        allowed = otherwise if declaration is None else declaration.protocol
        if isinstance(value, dict) and declaration is not None and declaration.inside:
            value = _departures(value, declaration.inside, allowed)
            if value:
                found[key] = value
        elif allowed is True or allowed is not False and value not in allowed:
            found[key] = value
    return found


def _of(among, key):
    """A declaration by its key; None: inside of a mapping, undeclared."""
    return among.get(key) if isinstance(among, dict) else among[key]


def _kind(value):
    """What something is, in words."""
    if isinstance(value, (list, tuple)):
        return f"a list of {', '.join(sorted({_kind(item) for item in value}))}"
    if isinstance(value, functools.partial):
        return f"!name:{_kind(value.func)}"
    kind = value if isinstance(value, type) else type(value)
    return own.plain_name(kind).removeprefix("builtins.")
