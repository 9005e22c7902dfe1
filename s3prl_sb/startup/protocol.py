"""What a run was given, and whether that is the protocol of its recipe.

The defaults of an installed recipe are the protocol, and
:mod:`s3prl_sb.schema.keys` says which keys belong to it. What its numbers are of
stands in its YAML::

    __protocol:
        corpus: data_folder  # the key that says where the real corpus is
        utterances: {train: 28539, valid: 2703, test: 2620}  # or {train: {from: 28539}}

A run follows it if no key of the protocol differs and its sets are as large as those of
the real corpus. So toys, tables of one's own, few-shot subsets and other splits are
seen by what they are, not by what they are called.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.corpora.completeness import TOY
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema

PROTOCOL = "__protocol"
#: Copies of a corpus differ in a few files; subsets and toys differ in far more.
TOLERANCE = 0.01


def schema_of(task, own=None):
    """The schema that a run is compared with.

    Arguments
    ---------
    task : str
        The Brain's.
    own : s3prl_sb.schema.keys.Schema, optional
        Of the YAML that the run was started with.

    Returns
    -------
    s3prl_sb.schema.keys.Schema
        Of the installed recipe, whatever a copy of it says; the own one of a task that
        has none.
    """
    return Schema.of_recipe(task) if task in resources.recipes() else own


def published(schema):
    """What the numbers of a recipe are of.

    Arguments
    ---------
    schema : s3prl_sb.schema.keys.Schema
        From :func:`schema_of`.

    Returns
    -------
    dict
        ``corpus`` and ``utterances``; None: the recipe does not say.

    Example
    -------
    >>> published(Schema.of_recipe("SUPERB/IC"))["utterances"]["train"]
    23132
    """
    return plain(schema.tree.get(PROTOCOL)) if schema is not None else None


def flat(values, prefix=""):
    """The leaves of nested mappings, by the names that errors and tables give them.

    Arguments
    ---------
    values : dict
        JSON values.
    prefix : str
        Of the names.

    Returns
    -------
    dict

    Example
    -------
    >>> flat({"lr": 0.1, "head": {"hidden_size": 128, "layers": [1, 2]}})
    {'lr': 0.1, 'head.hidden_size': 128, 'head.layers': [1, 2]}
    """
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def told(schema, recipe, utterances, options=None):
    """What a run was given, and whether that is the protocol.

    Arguments
    ---------
    schema : s3prl_sb.schema.keys.Schema
        From :func:`schema_of`.
    recipe : dict
        The keys of the run, as ``load_recipe`` leaves them.
    utterances : dict
        Sets to their sizes.
    options : dict, optional
        What else departs from the protocol: options that are no keys of the recipe.

    Returns
    -------
    dict
        ``settings``: keys, those inside of others with a dot, whose values are not the
        recipe's own; ``defaults``: those of the recipe, null where it has none;
        ``protocol``: from :func:`judged`.

    Example
    -------
    >>> from s3prl_sb.hyperyaml.nodes import plain
    >>> schema = Schema.of_recipe("SUPERB/QbE")
    >>> counts = {"documents": 2438, "valid": 138, "test": 138}
    >>> recipe = {**plain(schema.tree), "data_folder": "/quesst", "minmax": False}
    >>> found = told(schema, recipe, counts)
    >>> found["settings"], found["defaults"]
    ({'data_folder': '/quesst', 'minmax': False}, {'data_folder': None, 'minmax': True})
    >>> found["protocol"]["differs"]
    ['minmax False']
    """
    recipe = {k: v for k, v in recipe.items() if not k.startswith("__")}
    options = options or {}
    # Where the run itself lies is no part of what it is.
    places = {key for key in schema if schema[key].by and schema.is_path(key)}
    # What a copy of the recipe has left out is not as the recipe has it.
    recipe = {key: recipe.get(key) for key in {**dict.fromkeys(schema), **recipe}}
    recipe = {key: value for key, value in recipe.items() if key not in places}
    before = flat(plain(schema.tree))
    changed = schema.changed(recipe)
    settings = {**flat(changed), **options}
    departs = {**flat(schema.protocol(recipe, changed)), **options}
    for found in (settings, departs):
        if "freeze" in found:  # the recipe passes it on to the upstream
            found.pop("upstream_model.freeze", None)
    protocol = published(schema)
    place = recipe.get(protocol["corpus"]) if protocol else None
    return {
        "settings": settings,
        "defaults": {key: _default(before, key) for key in settings},
        "protocol": judged(protocol, departs, place, utterances),
    }


def _default(before, key):
    """What a recipe has for a key: a value, or values by the rest of their names."""
    start = f"{key}."
    inside = {
        k.removeprefix(start): v for k, v in before.items() if k[: len(start)] == start
    }
    return before.get(key, inside or None)


def judged(protocol, departs, place, utterances):
    """Whether a run follows the protocol.

    Arguments
    ---------
    protocol : dict
        From :func:`published`.
    departs : dict
        Keys with values that are not the protocol's.
    place : str
        Where the data are; None: in tables of one's own.
    utterances : dict
        Sets to their sizes.

    Returns
    -------
    dict
        ``followed``, None for a recipe without a protocol; ``settings``, those that
        depart from it; ``corpus``, where the data are; ``data``, what tells them from
        the real corpus in words, or None; ``differs``, all of it in a few words each.

    Example
    -------
    >>> wanted = {"utterances": {"train + valid": 90, "test": 10}}
    >>> judged(wanted, {}, "/a", {"train": 70, "valid": 20, "test": 10})["followed"]
    True
    >>> judged(wanted, {"total_steps": 2}, "/a", {"train": 9, "test": 10})["differs"]
    ['train + valid 9 of 90', 'total_steps 2']
    """
    data = _data(protocol["utterances"], place, utterances) if protocol else None
    differs = [data] if data else []
    differs += [f"{key} {_short(value)}" for key, value in departs.items()]
    return {
        "followed": not differs if protocol else None,
        "settings": departs,
        "corpus": place,
        "data": data,
        "differs": differs,
    }


def _data(wanted, place, utterances):
    """What tells a run's data from the real corpus, in a few words, or None."""
    if place is None:
        return "own tables"
    parents = (Path(str(place)), Path(str(place)).parent)
    if any((folder / TOY).is_file() for folder in parents):
        return "toy data"
    for name, size in wanted.items():
        sets = [part.strip() for part in name.split("+")]
        count = sum(utterances.get(part, 0) for part in sets)
        least = isinstance(size, dict)
        size = size["from"] if least else size
        missing = size - count if least else abs(size - count)
        if missing > TOLERANCE * size:
            return f"{name} {count} of {size}"
    return None


def _short(value):
    text = "null" if value is None else str(value)
    return text if len(text) < 30 else f"{text[:29]}…"
