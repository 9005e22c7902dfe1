"""Schema of a recipe: its keys and their declarations.

A key of several recipes is declared once, in ``recipes/keys.yaml``, which also explains
declarations; a key of one recipe in its YAML, under ``__keys`` (SpeechBrain drops keys
that begin with two underscores)::

    __keys:
        label_smoothing: {is: number, from: 0, to: 1}
    label_smoothing: 0.1

The declaration of a key decides which values the command line, YAML files and budgets
accept, the text of ``--help``, whether a run can be continued with another value, and
whether a result still follows SUPERB's protocol. An undeclared key has the kind of its
value in the recipe, is kept on resume, and is part of the protocol.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import os
from pathlib import Path

from s3prl_sb import own, resources
from s3prl_sb.hyperyaml.nodes import line_of, plain, referred, shown, tag, written
from s3prl_sb.identity import opened
from s3prl_sb.schema import kinds
from s3prl_sb.schema.declarations import KeysError, declared, shared, undeclared
from s3prl_sb.schema.defaults import merged_with_defaults
from s3prl_sb.storage.files import read_yaml

__all__ = ["KeysError", "Schema", "shared"]

OWN = "__keys"  # declarations in a recipe


class Schema:
    """Schema of one recipe.

    Arguments
    ---------
    file : pathlib.Path
        YAML file of the recipe.
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

    def __init__(self, file: str | Path, tree: dict, origins: dict | None = None):
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
    def of(cls, hparams_file: str | Path) -> "Schema":
        """Reads the schema of a recipe from its YAML, which may be the user's copy.

        Arguments
        ---------
        hparams_file : str
            YAML file.

        Returns
        -------
        Schema

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the file is not valid YAML.
        KeysError
            For an invalid declaration, or unknown defaults.
        """
        path = os.path.abspath(hparams_file)
        state = tuple(opened.state(path)) if os.path.isfile(path) else None
        return cls(hparams_file, *_read(str(hparams_file), path, state))

    @classmethod
    def of_recipe(cls, name: str) -> "Schema":
        """Reads the schema of an installed recipe, whose values are SUPERB's.

        Arguments
        ---------
        name : str
            Name such as "SUPERB/KS" or "pretraining/tera".

        Returns
        -------
        Schema

        Raises
        ------
        KeyError
            If there is no such recipe.
        """
        return cls.of(resources.recipe_files()[name])

    def __iter__(self):
        return (str(key) for key in self.tree if not str(key).startswith("__"))

    def __contains__(self, key):
        return key in self.tree and not str(key).startswith("__")

    def __getitem__(self, key):
        """Returns the declaration of a key, which may be undeclared."""
        return self.declarations.get(key) or undeclared(key, self.tree.get(key))

    def place(self, key):
        """Returns where a key is set.

        Arguments
        ---------
        key : str
            Key of the recipe.

        Returns
        -------
        str
            File and line, for errors; the file is the recipe or one of its defaults.
        """
        file, line = self.origins.get(key, (self.file, line_of(self.tree, key)))
        return f"{shown(file)}, line {line}"

    def is_path(self, key):
        """Returns whether the values of a key are paths.

        Arguments
        ---------
        key : str
            Key of the recipe.

        Returns
        -------
        bool
        """
        return self[key].is_path

    def check(self, key, value, where=""):
        """Converts and checks a value of a key.

        Arguments
        ---------
        key : str
            Key of the recipe.
        value : object
            Node of YAML. A node with a tag (``!ref``, ``!new:``) is not checked before
            it is made.
        where : str
            Prefix of the key in errors: "--", or a file and a line.

        Returns
        -------
        object
            ``"1e-4"`` for a number is 0.0001, ``"no"`` for a flag False.

        Raises
        ------
        KeysError
            For an invalid value, with the valid ones.
        """
        return _checked(self[key], value, self.tree.get(key), f"{where}{key}")

    def check_made(self, key, value, where=""):
        """Checks a value of a key after objects have been made.

        Arguments
        ---------
        key : str
            Key of the recipe.
        value : object
            Made object, or plain value.
        where : str
            Prefix of the key in errors.

        Returns
        -------
        object

        Raises
        ------
        KeysError
            For an object of another class, or an invalid value.
        """
        declaration = self[key]
        if declaration.is_plain:  # a node with a tag could not be checked before
            return _checked(declaration, value, None, f"{where}{key}")
        if declaration.is_made and not declaration.accepts_object(value):
            raise KeysError(
                f"{where}{key} is {_words(declaration)}, not {_kind(value)}."
            )
        return value

    def kept(self, values):
        """Selects the keys whose values a continued run must have too.

        Arguments
        ---------
        values : dict
            Keys and values, see :data:`s3prl_sb.startup.configuration.RECIPE`.

        Returns
        -------
        dict
            ``values`` without the keys that are free on resume, nested ones included.
        """
        return _chosen(values, self, "is_kept")

    def counting(self, values):
        """Selects the keys that the results of a run depend on.

        Arguments
        ---------
        values : dict
            See :meth:`kept`.

        Returns
        -------
        dict
            ``values`` without the keys that do not change results, such as
            ``num_workers`` and output folders, nested ones included.
        """
        return _chosen(values, self, "counts")

    def changed(self, values):
        """Selects the keys whose values differ from the recipe's.

        Arguments
        ---------
        values : dict
            See :meth:`kept`; references are unresolved.

        Returns
        -------
        dict
            Keys to values; of mappings and arguments only the entries that differ.
        """
        default = plain(self.tree)
        default.update(self._computed(values))
        return _changed(values, default, self)

    def protocol(self, values, changed=None):
        """Selects the keys whose values depart from SUPERB's protocol.

        Arguments
        ---------
        values : dict
            See :meth:`kept`.
        changed : dict, optional
            Result of :meth:`changed`, if it has been computed already.

        Returns
        -------
        dict
            Keys of :meth:`changed` that belong to the protocol, with values that do
            not. Empty if the run follows the protocol.
        """
        changed = self.changed(values) if changed is None else changed
        return _departures(changed, self)

    def _computed(self, values):
        """Returns what the recipe's calls return for these values, such as a card."""
        from s3prl_sb.hyperyaml import programs

        made = [k for k in self if tag(self.tree[k]).startswith("!applyref:")]
        # Only the keys that these calls refer to, at any depth: a recipe is long.
        wanted, left = {}, list(made)
        while left:
            key = left.pop()
            if key not in wanted and key in self.tree:
                is_set = key in values and key not in made and self[key].is_plain
                wanted[key] = values[key] if is_set else self.tree[key]
                left += referred(wanted[key])
        try:
            resolved = plain(programs.resolve(wanted, self.file))
        except Exception:  # the card is gone: then all of it differs
            return {}
        as_written = plain(self.tree)
        return {k: resolved[k] for k in made if values.get(k) != as_written[k]}


@functools.lru_cache(maxsize=64)  # a start asks several times, a benchmark for all
def _read(file, path, state):
    return merged_with_defaults(read_yaml(file, "a recipe", kind=dict), file)


def _checked(declaration, value, default, where):
    if tag(value) and not declaration.is_made:
        return value
    for key, inner in value.items() if isinstance(value, dict) else ():
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
        if declaration.kind != "flag" and default not in (None, value):
            example = f", such as {written(default)}"
    message = f"{where} is {_words(declaration)}{example}, not {written(value)}."
    if declaration.is_made and not isinstance(value, dict):
        message += " Change it in a copy of the YAML, or give arguments: {name: value}."
    raise KeysError(message) from None


def _words(declaration):
    """Describes the values of a key, with the class of an object."""
    words = declaration.words()
    return f"{words} (a {declaration.of})" if declaration.of else words


def _chosen(values, among, wanted):
    """Selects keys by a property of their declarations, nested ones included."""
    chosen = {}
    for key, value in values.items():
        declaration = _of(among, key)
        if declaration is None or getattr(declaration, wanted):
            inside = value
            if isinstance(value, dict) and declaration is not None:
                inside = _chosen(value, declaration.inside, wanted)
            if inside or not value:
                chosen[key] = inside
    return chosen


def _changed(values, default, among):
    changed = {}
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
                changed[key] = inside
        elif value != before or isinstance(value, bool) != isinstance(before, bool):
            changed[key] = value
    return changed


def _departures(changed, among, otherwise=True):
    departures = {}
    for key, value in changed.items():
        declaration = _of(among, key)
        allowed = otherwise if declaration is None else declaration.protocol
        if isinstance(value, dict) and declaration is not None and declaration.inside:
            value = _departures(value, declaration.inside, allowed)
            if value:
                departures[key] = value
        elif allowed is True or allowed is not False and value not in allowed:
            departures[key] = value
    return departures


def _of(among, key):
    """Returns the declaration of a key; None for an undeclared key of a mapping."""
    return among.get(key) if isinstance(among, dict) else among[key]


def _kind(value):
    """Describes the type of a value."""
    if isinstance(value, (list, tuple)):
        return f"a list of {', '.join(sorted({_kind(item) for item in value}))}"
    if isinstance(value, functools.partial):
        return f"!name:{_kind(value.func)}"
    kind = value if isinstance(value, type) else type(value)
    return own.plain_name(kind).removeprefix("builtins.")
