"""Content of the cards, recipes and data that the runs of a benchmark depend on.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import os
from pathlib import Path

from s3prl_sb import own, resources
from s3prl_sb.benchmark.keys import VARIANT, recipe, schema, variant_of
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rows import in_folder, records
from s3prl_sb.hyperyaml.nodes import plain, tag, walk
from s3prl_sb.identity import digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_file, hash_files, hash_folder
from s3prl_sb.schema.named_heads import node
from s3prl_sb.startup import named
from s3prl_sb.storage.files import naming
from s3prl_sb.storage.repositories import file_of

SUFFIX = ".py:"  # FILE.py:Class


@functools.lru_cache(maxsize=None)  # the runs of a plan share it
def of_card(name):
    """Returns the identity of an upstream from its card, without loading it.

    Arguments
    ---------
    name : str
        Name or file of a card.

    Returns
    -------
    dict
        JSON values: ``class``, the arguments, ``files`` (hashes of the local files
        that the arguments name) and ``code`` of the class.

    Example
    -------
    >>> fbank = of_card("fbank")
    >>> fbank["class"].rpartition(".")[2], "s3prl_sb.cli" in fbank["code"]["modules"]
    ('KaldiFeatures', False)
    """
    from s3prl_sb.lobes.cards.finding import without_card
    from s3prl_sb.lobes.upstreams import card, card_file

    node = card(name)
    folder = Path() if without_card(name) else card_file(name).parent
    files = {}
    arguments = _without_places(plain(dict(node)), "", folder, files)
    kind = own.plain_names(node.tag.value).partition(":")[2]
    code = code_of([kind, *_tag_names(node)], folder)
    return {"class": kind, **arguments, "files": files, "code": code}


def of_recipe(task, overrides=None):
    """Returns the identity of a recipe's script and of the classes in its YAML.

    Arguments
    ---------
    task : str
        Name such as "KS".
    overrides : dict, optional
        Keys of the run, whose ``head`` may name another class.

    Returns
    -------
    dict
        ``script``, a hash, and the keys of :func:`~s3prl_sb.identity.code.code_of`;
        ``head``, the same of a head that is not in this package.
    """
    head = (overrides or {}).get(named.HEAD)
    head = head.get("name") if isinstance(head, dict) else head
    variant = variant_of(overrides)
    declared, name = schema(task, variant), recipe(task, variant)
    return _of_recipe(name, declared, None if head == named.DEFAULT else head)


@functools.lru_cache(maxsize=None)
def _of_recipe(name, declared, head):
    names = _tag_names({key: declared.tree[key] for key in declared})
    own_code = {}
    if head is not None and named.is_code(head):
        file, suffix, kind = head.partition(SUFFIX)
        folder = Path(file).parent if suffix else Path.cwd()
        kind = f"{Path(file).name}.{kind}" if suffix else head
        own_code = {named.HEAD: code_of([kind], folder)}
    elif head is not None:
        names.add(node(head, named.labels_of(declared.tree).get("are"))[0])
    place = resources.recipe_files()[name].parents[1]
    script = hash_file(str(place / "train.py"))
    return {"script": script, **code_of(names, place), **own_code}


def counting(task, overrides):
    """Returns the keys of a recipe, and its variant, that results depend on.

    Arguments
    ---------
    task : str
        Name such as "KS".
    overrides : dict
        Keys and values.

    Returns
    -------
    dict

    Example
    -------
    >>> counting("KS", {"lr": 0.1, "cache_folder": "/tmp"})
    {'lr': 0.1}
    """
    keys = {key: value for key, value in overrides.items() if key != VARIANT}
    chosen = {VARIANT: overrides[VARIANT]} if VARIANT in overrides else {}
    return {**chosen, **schema(task, variant_of(overrides)).counting(keys)}


def split(task, overrides, output):
    """Splits keys of a recipe into settings and data.

    Arguments
    ---------
    task : str
        Name such as "KS".
    overrides : dict
        Keys and values.
    output : pathlib.Path
        Folder of the benchmark, whose toy corpora do not count as data.

    Returns
    -------
    settings : dict
        Keys that do not name existing files, and that results depend on.
    data : dict
        The other keys, to hashes that do not depend on paths: of all files of a
        folder, of the rows of a table and the files that they name.
    """
    kept, data = {}, {}
    declared = schema(task, variant_of(overrides))
    for key, value in counting(task, overrides).items():
        places = value if isinstance(value, list) else [value]
        there = places and all(_is_there(place, output) for place in places)
        if declared.is_path(key) and there:
            data[key] = [_content(str(place)) for place in places]
        elif isinstance(value, dict):
            kept[key] = _without_places(plain(value), key, Path.cwd(), data)
        else:
            kept[key] = _without_folder(value)
    return kept, data


def forget():
    """Clears the caches of identities, as files may have changed."""
    for cached in (_content, of_card, _of_recipe):
        cached.cache_clear()


def _is_there(place, output):
    if not isinstance(place, str):
        return False
    path = Path(place)
    made = Path(output).resolve() in path.resolve().parents
    return path.exists() and not made


@functools.lru_cache(maxsize=None)  # several tasks share a corpus
def _content(place):
    with naming(place):
        if Path(place).is_dir():
            return hash_folder(place, progressbar=True)
        try:
            table = records(place)
        except ManifestError:  # not a table, or an invalid one
            return hash_file(place)
        return _content_of(table, place)


def _content_of(table, place):
    texts = {v for row in table for v in row.values() if isinstance(v, str)}
    files = {text: _beside(place, text) for text in texts}
    files = {text: file for text, file in files.items() if os.path.isfile(file)}
    hashes = hash_files(files.values(), progressbar=True)
    held = {text: {"content": hashes[file]} for text, file in files.items()}
    return digest(
        [
            {k: held.get(v, v) if isinstance(v, str) else v for k, v in row.items()}
            for row in table
        ]
    )


def _beside(table, name):
    """Returns the file that a cell of a table may name."""
    folder = os.path.dirname(os.path.abspath(table))
    return os.path.join(folder, in_folder(name, folder))


def _without_places(value, name, folder, files):
    """Replaces local files in the arguments of a card, and adds them to ``files``."""
    if isinstance(value, dict):
        return {
            key: _without_places(inner, f"{name}.{key}".lstrip("."), folder, files)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_places(inner, name, folder, files) for inner in value]
    if not isinstance(value, str):
        return value
    if SUFFIX in value:
        return _without_folder(value)
    place, _, sha256 = value.partition("#sha256=")
    if sha256 and file_of(place) is not None:  # on the hub, whichever commit it is of
        files.setdefault(name, []).append(sha256)
        return "a file"
    path = folder / Path(place).expanduser()  # an absolute path stays unchanged
    for path in (Path(place).expanduser(), path):
        if place and path.exists() and (path.is_file() or "/" in place):
            content = hash_folder(path) if path.is_dir() else hash_file(str(path))
            files.setdefault(name, []).append(content)
            return "a file"
    return value


def _without_folder(value):
    """Returns a class of a user-defined file without the folder; its code counts."""
    if isinstance(value, str) and SUFFIX in value:
        return os.path.basename(value)
    return value


def _tag_names(node):
    """Returns the classes and functions that the tags of a node name, at any depth."""
    tags = (own.plain_names(tag(inner)) for inner in walk(node))
    return {name.partition(":")[2] for name in tags} - {""}
