"""Declarations of the keys of recipes.

Keys of several recipes are declared in ``recipes/keys.yaml``, which explains the words
of a declaration; keys of one recipe in its YAML, under ``__keys``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of, shown, tag
from s3prl_sb.schema import kinds
from s3prl_sb.storage.files import naming, read_text
from s3prl_sb.storage.yaml_texts import own_yaml_of

TABLE = "keys.yaml"  # in the folder of the recipes
#: Words of a declaration whose fields have other names.
_FIELDS = {"is": "kind", "from": "low", "to": "high"}


class KeysError(UserError, ValueError):
    """Invalid value or declaration of a key."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Declaration of one key. For the fields see ``recipes/keys.yaml``.

    Arguments
    ---------
    name : str
        Name of the key.
    kind : str, optional
        Kind of its values, ``is`` in YAML.
    declared : bool
        False if the kind is that of the value in the recipe.
    """

    name: str
    kind: str | None = None
    choices: tuple = ()
    low: float | None = None
    above: float | None = None
    high: float | None = None
    optional: bool = False
    of: str | None = None
    resume: str = "kept"
    test: bool = False
    protocol: object = True
    by: str | None = None
    inside: dict = dataclasses.field(default_factory=dict)
    declared: bool = True

    def __post_init__(self):
        if self.resume not in ("kept", "free"):
            raise ValueError(f"resume is kept or free, not {self.resume!r}")
        if not self.kind and not self.choices:
            raise ValueError("it says neither what it `is` nor its `choices`")
        self.kinds  # noqa: B018 (raises)

    @functools.cached_property
    def kinds(self):
        """Alternative kinds: pairs of a name and whether it is a list."""
        return kinds.split(self.kind) if self.kind else []

    @property
    def is_kept(self):
        """True if a run can be continued with the same value only."""
        return self.resume == "kept" and not self.test

    @property
    def is_path(self):
        """True if its values are paths."""
        return any(name in kinds.PATHS for name, _ in self.kinds)

    @property
    def counts(self):
        """True if results depend on it: it is read, kept, or part of the protocol."""
        reads = any(name in kinds.READ for name, _ in self.kinds)
        return reads or self.is_kept or self.test or self.protocol is not False

    @property
    def is_literal(self):
        """True if text is taken literally, as paths are."""
        names = {name for name, is_list in self.kinds if not is_list}
        texts = not self.kind and all(isinstance(item, str) for item in self.choices)
        return texts or bool(names) and names <= set(kinds.LITERAL)

    @property
    def is_made(self):
        """True if a tag of the YAML makes it."""
        return any(name in kinds.MADE for name, _ in self.kinds)

    @property
    def is_plain(self):
        """True if it is neither a made object nor a mapping."""
        made = ("mapping", "any", *kinds.MADE)
        return not any(name in made for name, _ in self.kinds)

    def words(self):
        """Describes its values in words.

        Returns
        -------
        str
        """
        return kinds.described(
            self.kind, self.choices, self.low, self.above, self.high, self.optional
        )

    def value(self, node):
        """Converts a node of YAML to a value of the key.

        Arguments
        ---------
        node : object
            Node of YAML.

        Returns
        -------
        object
            Value, with numbers and flags that were written as text converted.

        Raises
        ------
        s3prl_sb.schema.kinds.WrongKind
            For a value that the key cannot have.
        """
        if node is None:
            if self.optional:
                return None
            raise kinds.WrongKind
        for name, is_list in self.kinds:
            try:
                if not is_list:
                    return self._one(node, name, self.choices)
                if isinstance(node, (list, tuple)) and (node or self.is_made):
                    return [self._one(item, name, ()) for item in node]
            except kinds.WrongKind:
                continue
        if not self.kind:
            return self._choice(node, self.choices)
        raise kinds.WrongKind

    def accepts_object(self, made):
        """Returns whether a made object has the declared class.

        Arguments
        ---------
        made : object
            Object that a constructor has made.

        Returns
        -------
        bool
        """
        if made is None:
            return self.optional
        import pydoc
        from inspect import isclass

        wanted = pydoc.locate(self.of) if self.of else object
        for name, is_list in self.kinds:
            if is_list != isinstance(made, (list, tuple)):
                continue
            for item in made if is_list else [made]:
                if name == "class":
                    item = getattr(item, "func", item)  # a functools.partial has it
                    is_made = bool(self.of) and isinstance(item, wanted)  # by !new:
                    fits = callable(item) and not is_made
                    fits = issubclass(item, wanted) if isclass(item) else fits
                else:
                    named = isclass(getattr(item, "func", item))  # by !name:
                    fits = isinstance(item, wanted) and not named
                if not fits:
                    break
            else:
                return True
        return False

    def _one(self, node, name, choices):
        if name in kinds.MADE:  # the constructor checks it
            if isinstance(node, dict) or tag(node):
                return node
            raise kinds.WrongKind
        value = kinds.convert(node, name)
        if name == "text" and choices:
            return self._choice(value, choices)
        if name in ("number", "count", "whole") and not self._is_in_range(value):
            raise kinds.WrongKind
        return value

    def _choice(self, node, choices):
        # YAML 1.1 reads off as False, and a path 1 as a number
        word = {True: "on", False: "off"}[node] if isinstance(node, bool) else node
        for choice in choices:
            if str(choice) == str(word) and not isinstance(word, float):
                return choice
        raise kinds.WrongKind

    def _is_in_range(self, value):
        if self.low is not None and value < self.low:
            return False
        if self.above is not None and value <= self.above:
            return False
        return self.high is None or value <= self.high


@functools.lru_cache(maxsize=None)
def shared():
    """Returns the declarations of ``recipes/keys.yaml``.

    Returns
    -------
    dict
        Keys to :class:`Declaration`.

    Example
    -------
    >>> shared()["cache"].choices
    ('auto', 'off', 'pooled', 'frames')
    """
    return declared(_table(), _place(), {})


def declared(table, file, before=None):
    """Parses declarations.

    Arguments
    ---------
    table : dict
        Keys to the words of their declarations.
    file : pathlib.Path
        File of the table, for errors.
    before : dict, optional
        Table of defaults for words that are not repeated. Default:
        ``recipes/keys.yaml``.

    Returns
    -------
    dict
        Keys to :class:`Declaration`.

    Raises
    ------
    KeysError
        For an unknown word.
    """
    before = _table() if before is None else before
    if not isinstance(table, dict):
        raise KeysError(
            f"{shown(file)}: __keys is a mapping of keys to what they are, such as "
            "lr: {is: number}."
        )
    declarations = {}
    for key, words in table.items():
        try:
            declarations[str(key)] = _declaration(key, words, before.get(key) or {})
        except (TypeError, ValueError) as error:
            line = line_of(table, key)
            place = shown(file) + (f", line {line}" if line else "")
            raise KeysError(f"{place}: the declaration of '{key}': {error}.") from error
    return declarations


@functools.lru_cache(maxsize=None)
def _table():
    text = read_text(_place())
    with naming(_place(), "the keys of recipes"):
        return own_yaml_of(text)  # every start reads it


def _place():
    return resources.folder("recipes") / TABLE


def _declaration(key, words, before):
    if not isinstance(words, dict):
        raise ValueError("it is a mapping, such as {is: number, from: 0}")
    if "is" in words or "choices" in words:  # a new kind has a new range
        drop = ("is", "choices", "from", "above", "to", "of")
        before = {k: v for k, v in before.items() if k not in drop}
    names = {f.name for f in dataclasses.fields(Declaration)} - {"name", "declared"}
    names = (names - set(_FIELDS.values())) | set(_FIELDS)
    fields = {}
    for word, value in {**before, **words}.items():
        if word not in names:
            raise ValueError(f"there is no '{word}', but {', '.join(sorted(names))}")
        fields[_FIELDS.get(word, word)] = value
    fields["choices"] = tuple(fields.get("choices", ()))
    outer = {"protocol": fields.get("protocol", True)}
    fields["inside"] = {
        str(inner): _declaration(inner, {**outer, **inner_words}, {})
        for inner, inner_words in fields.get("inside", {}).items()
    }
    return Declaration(str(key), **fields)


def undeclared(key, value):
    """Returns the declaration of an undeclared key, from its value in the recipe.

    Arguments
    ---------
    key : str
        Name of the key.
    value : object
        Value in the recipe.

    Returns
    -------
    Declaration
        The key is kept on resume, and part of the protocol.
    """
    if isinstance(value, bool):
        kind = "flag"
    else:
        kind = "number" if isinstance(value, (int, float)) else "any"
    return Declaration(str(key), kind=kind, optional=True, declared=False)
