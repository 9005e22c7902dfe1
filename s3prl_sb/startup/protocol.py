"""Comparison of a run with the protocol of its recipe.

The defaults of an installed recipe are the protocol, and :mod:`s3prl_sb.schema.keys`
declares which keys belong to it. The recipe's YAML describes the data of published
numbers::

    __protocol:
        corpus: data_folder  # key of the folder of the real corpus
        utterances: {train: 28539, valid: 2703, test: 2620}  # or {train: {from: 28539}}
        unlike: {vocoder: griffin_lim}  # optional: defaults that they do not have

A run follows the protocol if no key of it differs and its sets are as large as those of
the real corpus. Toy corpora, user-defined tables, few-shot subsets and other splits are
therefore recognised by their sizes, not by their names.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.corpora.completeness import TOY
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema
from s3prl_sb.terminal.messages import setting

PROTOCOL = "__protocol"
TABLES = ("train_csv", "documents_csv")  # keys of tables, which come before a corpus
#: Copies of a corpus differ in a few files; subsets and toys differ in far more.
TOLERANCE = 0.01


def schema_of(task, own=None):
    """Returns the schema that a run is compared with.

    Arguments
    ---------
    task : str
        Task of the Brain.
    own : s3prl_sb.schema.keys.Schema, optional
        Schema of the YAML that the run was started with.

    Returns
    -------
    s3prl_sb.schema.keys.Schema
        Schema of the installed recipe, whatever a copy of it says; ``own`` for a task
        without one.
    """
    return Schema.of_recipe(task) if task in resources.recipe_files() else own


def published(schema):
    """Returns the data that the published numbers of a recipe are measured on.

    Arguments
    ---------
    schema : s3prl_sb.schema.keys.Schema
        Schema from :func:`schema_of`.

    Returns
    -------
    dict or None
        ``corpus``, ``utterances`` and, if there are any, ``unlike``; None if the recipe
        has no protocol.

    Example
    -------
    >>> published(Schema.of_recipe("SUPERB/IC"))["utterances"]["train"]
    23132
    """
    return plain(schema.tree.get(PROTOCOL)) if schema is not None else None


def flat(values, prefix=""):
    """Flattens nested mappings to names with dots, as errors and tables show them.

    Arguments
    ---------
    values : dict
        JSON values.
    prefix : str
        Prefix of the names.

    Returns
    -------
    dict

    Example
    -------
    >>> flat({"lr": 0.1, "head": {"hidden_size": 128, "layers": [1, 2]}})
    {'lr': 0.1, 'head.hidden_size': 128, 'head.layers': [1, 2]}
    """
    leaves = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        is_leaf = not isinstance(value, dict) or not value
        leaves.update({name: value} if is_leaf else flat(value, f"{name}."))
    return leaves


def report(schema, recipe, utterances, options=None):
    """Compares the settings and the data of a run with those of its recipe.

    Arguments
    ---------
    schema : s3prl_sb.schema.keys.Schema
        Schema from :func:`schema_of`.
    recipe : dict
        Keys of the run and their values, from ``load_recipe``.
    utterances : dict
        Names of sets to their sizes.
    options : dict, optional
        Other departures from the protocol: options that are not keys of the recipe.

    Returns
    -------
    dict
        ``settings``: keys with other values than the recipe's, nested ones with a dot;
        ``defaults``: the recipe's values of these keys, null where it has none;
        ``protocol``: from :func:`verdict`.

    Example
    -------
    >>> from s3prl_sb.hyperyaml.nodes import plain
    >>> schema = Schema.of_recipe("SUPERB/QbE")
    >>> counts = {"documents": 2438, "valid": 138, "test": 138}
    >>> recipe = {**plain(schema.tree), "data_folder": "/quesst", "minmax": False}
    >>> result = report(schema, recipe, counts)
    >>> result["settings"], result["defaults"]
    ({'data_folder': '/quesst', 'minmax': False}, {'data_folder': None, 'minmax': True})
    >>> result["protocol"]["differs"]
    ['minmax False']
    """
    recipe = {k: v for k, v in recipe.items() if not k.startswith("__")}
    options = options or {}
    # The folders of the run do not change its numbers.
    places = {key for key in schema if schema[key].by and schema.is_path(key)}
    # A key that a copy of the recipe lacks differs from the recipe.
    keys = {**dict.fromkeys(schema), **recipe}
    recipe = {key: recipe.get(key) for key in keys if key not in places}
    before = flat(plain(schema.tree))
    changed = schema.changed(recipe)
    settings = {**flat(changed), **options}
    departs = {**flat(schema.protocol(recipe, changed)), **options}
    for keys in (settings, departs):
        if "freeze" in keys:  # the recipe passes it on to the upstream
            keys.pop("upstream_model.freeze", None)
        if "pooling" in keys:  # and to the head
            keys.pop("head.pooling", None)
    protocol = published(schema)
    unlike = (protocol or {}).get("unlike", {})
    departs |= {key: v for key, v in unlike.items() if recipe.get(key) == v}
    is_own = any(recipe.get(key) for key in TABLES)
    place = recipe.get(protocol["corpus"]) if protocol and not is_own else None
    return {
        "settings": settings,
        "defaults": {key: _default(before, key) for key in settings},
        "protocol": verdict(protocol, departs, place, utterances),
    }


def _default(before, key):
    """Returns a recipe's value of a key, or its nested values."""
    start = f"{key}."
    names = [name for name in before if name.startswith(start)]
    inside = {name.removeprefix(start): before[name] for name in names}
    return before.get(key, inside or None)


def verdict(protocol, departs, place, utterances):
    """Returns whether a run follows the protocol, and the differences.

    Arguments
    ---------
    protocol : dict
        Protocol from :func:`published`.
    departs : dict
        Keys whose values are not the protocol's.
    place : str
        Folder of the data; None for user-defined tables.
    utterances : dict
        Names of sets to their sizes.

    Returns
    -------
    dict
        ``followed``, None for a recipe without a protocol; ``settings``, the keys that
        depart from it; ``corpus``, the folder of the data; ``data``, the difference
        from the real corpus in words, or None; ``differs``, all differences in a few
        words each.

    Example
    -------
    >>> wanted = {"utterances": {"train + valid": 90, "test": 10}}
    >>> verdict(wanted, {}, "/a", {"train": 70, "valid": 20, "test": 10})["followed"]
    True
    >>> verdict(wanted, {"total_steps": 2}, "/a", {"train": 9, "test": 10})["differs"]
    ['train + valid 9 of 90', 'total_steps 2']
    """
    data = _data(protocol["utterances"], place, utterances) if protocol else None
    differs = [data] if data else []
    differs += [f"{key} {setting(value, 29)}" for key, value in departs.items()]
    return {
        "followed": not differs if protocol else None,
        "settings": departs,
        "corpus": place,
        "data": data,
        "differs": differs,
    }


def _data(wanted, place, utterances):
    """Describes how a run's data differ from the real corpus; None if they do not."""
    if place is None:
        return "own tables"
    place = Path(str(place))
    # A toy of several tasks has each in tasks/NAME
    if any((p / TOY).is_file() for p in (place, *place.parents[:2])):
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
