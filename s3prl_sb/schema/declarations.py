"""Declarations: what is said once of each key of a recipe.

Those of several recipes stand in ``recipes/keys.yaml``, which says what the words mean;
those of one in its YAML, under ``__keys``.

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

TABLE = "keys.yaml"  # beside the recipes
#: The words of a declaration, and the names of its fields where they are others.
_FIELDS = {"is": "kind", "from": "low", "to": "high"}


class KeysError(UserError, ValueError):
    """A key whose value, or whose declaration, cannot be."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What one key is. The fields: see ``recipes/keys.yaml``.

    Arguments
    ---------
    name : str
        The key.
    kind : str, optional
        ``is``: what its values are.
    declared : bool
        False: nobody says so, its value in the recipe does.
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
        """The alternatives: names of kinds, and whether lists of them."""
        return kinds.split(self.kind) if self.kind else []

    @property
    def is_kept(self):
        """Whether a run goes on with this value alone."""
        return self.resume == "kept" and not self.test

    @property
    def is_path(self):
        """Whether its texts are paths."""
        return any(name in kinds.PATHS for name, _ in self.kinds)

    @property
    def counts(self):
        """Whether a number is another one if this is: what is read, what is kept."""
        reads = any(name in kinds.READ for name, _ in self.kinds)
        return reads or self.is_kept or self.test or self.protocol is not False

    @property
    def is_literal(self):
        """Whether its texts are meant as they are written, as paths are."""
        names = {name for name, is_list in self.kinds if not is_list}
        texts = not self.kind and all(isinstance(item, str) for item in self.choices)
        return texts or bool(names) and names <= set(kinds.LITERAL)

    @property
    def is_made(self):
        """Whether a constructor makes it, by a tag of the YAML."""
        return any(name in kinds.MADE for name, _ in self.kinds)

    @property
    def is_plain(self):
        """Whether its value is neither made nor a mapping."""
        return not any(name in ("mapping", "any") for name, _ in self.kinds) and (
            not self.is_made
        )

    def words(self):
        """What it is, in words.

        Returns
        -------
        str
        """
        return kinds.described(
            self.kind, self.choices, self.low, self.above, self.high, self.optional
        )

    def value(self, given):
        """A value as it is meant.

        Arguments
        ---------
        given : object
            As YAML has it.

        Returns
        -------
        object
            Numbers and flags that were written as texts as such.

        Raises
        ------
        s3prl_sb.schema.kinds.WrongKind
            If it is none that the key may have.
        """
        if given is None:
            if self.optional:
                return None
            raise kinds.WrongKind
        for name, is_list in self.kinds:
            try:
                if not is_list:
                    return self._one(given, name, self.choices)
                if isinstance(given, (list, tuple)) and (given or self.is_made):
                    return [self._one(item, name, ()) for item in given]
            except kinds.WrongKind:
                continue
        if not self.kind:
            return self._choice(given, self.choices)
        raise kinds.WrongKind

    def is_what_it_should(self, made):
        """Whether what a constructor has made is of the class that is wanted.

        Arguments
        ---------
        made : object
            What has become of a value.

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
                    item = getattr(item, "func", item)  # of a functools.partial
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

    def _one(self, given, name, choices):
        if name in kinds.MADE:  # the constructor looks at it
            if isinstance(given, dict) or tag(given):
                return given
            raise kinds.WrongKind
        value = kinds.convert(given, name)
        if name == "text" and choices:
            return self._choice(value, choices)
        if name in ("number", "count", "whole") and not self._is_in_range(value):
            raise kinds.WrongKind
        return value

    def _choice(self, given, choices):
        # YAML 1.1 reads off as False, and a path 1 as a number
        spoken = given
        if isinstance(given, bool):
            spoken = "on" if given else "off"
        for choice in choices:
            if str(choice) == str(spoken) and not isinstance(spoken, float):
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
    """The declarations of ``recipes/keys.yaml``.

    Returns
    -------
    dict
        Key to :class:`Declaration`.

    Example
    -------
    >>> shared()["cache"].choices
    ('auto', 'off', 'pooled', 'frames')
    """
    return declared(_table(), _place(), {})


def declared(table, file, before=None):
    """Declarations as they are written.

    Arguments
    ---------
    table : dict
        Key to the words of its declaration.
    file : pathlib.Path
        Where it stands, for errors.
    before : dict, optional
        Such a table, in which some of the keys stand already: what is not said anew
        holds. Default: ``recipes/keys.yaml``.

    Returns
    -------
    dict
        Key to :class:`Declaration`.

    Raises
    ------
    KeysError
        For a word that there is not.
    """
    before = _table() if before is None else before
    if not isinstance(table, dict):
        raise KeysError(
            f"{shown(file)}: __keys is a mapping of keys to what they are, such as "
            "lr: {is: number}."
        )
    found = {}
    for key, words in table.items():
        try:
            found[str(key)] = _declaration(key, words, before.get(key) or {})
        except (TypeError, ValueError) as error:
            line = line_of(table, key)
            place = shown(file) + (f", line {line}" if line else "")
            raise KeysError(f"{place}: the declaration of '{key}': {error}.") from error
    return found


@functools.lru_cache(maxsize=None)
def _table():
    import ruamel.yaml

    text = read_text(_place())
    # Every start reads it: by the parser in C it takes a tenth of the time.
    with naming(_place(), "the keys of recipes"):
        return ruamel.yaml.YAML(typ="safe").load(text)


def _place():
    return resources.folder("recipes") / TABLE


def _declaration(key, words, before):
    if not isinstance(words, dict):
        raise ValueError("it is a mapping, such as {is: number, from: 0}")
    if "is" in words or "choices" in words:  # another kind, with its own range
        drop = ("is", "choices", "from", "above", "to", "of")
        before = {k: v for k, v in before.items() if k not in drop}
    known = {f.name for f in dataclasses.fields(Declaration)} - {"name", "declared"}
    known = (known - set(_FIELDS.values())) | set(_FIELDS)
    fields = {}
    for word, value in {**before, **words}.items():
        if word not in known:
            raise ValueError(f"there is no '{word}', but {', '.join(sorted(known))}")
        fields[_FIELDS.get(word, word)] = value
    fields["choices"] = tuple(fields.get("choices", ()))
    outer = {"protocol": fields.get("protocol", True)}
    fields["inside"] = {
        str(inner): _declaration(inner, {**outer, **said}, {})
        for inner, said in fields.get("inside", {}).items()
    }
    return Declaration(str(key), **fields)


def undeclared(key, value):
    """What a key is that nobody has declared: as its value in the recipe.

    Arguments
    ---------
    key : str
        The key.
    value : object
        In the recipe.

    Returns
    -------
    Declaration
        Kept on resume, and part of the protocol.
    """
    if isinstance(value, bool):
        kind = "flag"
    else:
        kind = "number" if isinstance(value, (int, float)) else "any"
    return Declaration(str(key), kind=kind, optional=True, declared=False)
