"""Names that stand for objects of a recipe: ``--head ecapa``, ``--opt_class adamw``.

A name, or a mapping with one (``{name: mlp, hidden_size: 512}``), is replaced by the
node of YAML that it stands for before anything else reads the recipe. A run therefore
keeps an ordinary node, which needs no list of names to be loaded again.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3prl_sb import own
from s3prl_sb.foreign import trust
from s3prl_sb.foreign.tags import set_tag
from s3prl_sb.hyperyaml.nodes import plain, tag
from s3prl_sb.schema.combinations import LABELS
from s3prl_sb.schema.constructors import check as check_arguments
from s3prl_sb.schema.constructors import located, parameters, takes
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.schema.keys import Schema
from s3prl_sb.schema.named_heads import KINDS, named_heads, node, poolings
from s3prl_sb.terminal.messages import near

HEAD, OPTIMIZER, POOLING = "head", "opt_class", "pooling"
#: Name of the object that the recipe itself has.
DEFAULT = "default"
#: Classes of torch by their names in lower case: those that step on gradients alone.
OPTIMIZERS = {
    name.lower(): f"torch.optim.{name}"
    for name in (
        *("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD"),
        *("NAdam", "RAdam", "RMSprop", "Rprop", "SGD"),
    )
}
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def names(key: str, labels: str | None = None) -> list[str]:
    """Returns the names that a key takes.

    Arguments
    ---------
    key : str
        Key of a recipe.
    labels : str, optional
        Labels of the task, see :func:`labels_of`; default: the names of all tasks.

    Returns
    -------
    list of str
        Empty for a key without names.

    Example
    -------
    >>> names("opt_class")[:3], names("lr"), "ecapa" in names("head", "tokens")
    (['adadelta', 'adagrad', 'adam'], [], False)
    """
    if key == HEAD:
        return [*named_heads(labels), DEFAULT]
    if key == OPTIMIZER:
        return [*OPTIMIZERS, DEFAULT]
    if key == POOLING and (labels is None or KINDS.get(labels) == "utterances"):
        return list(poolings())
    return []


def labels_of(tree: dict) -> dict:
    """Returns the labels that a recipe declares.

    Arguments
    ---------
    tree : dict
        Content of the recipe, as ruamel.yaml reads it.

    Returns
    -------
    dict
        ``are``: classes, tokens, segments, frames or occurrences; ``size``: key of the
        output size of a head, if it is set in the YAML; ``one_per``: "utterance" if
        all frames of one have the same label. Empty if nothing is declared.

    Example
    -------
    >>> labels_of(Schema.of_recipe("SUPERB/ASV").tree)
    {'are': 'classes', 'size': 'embedding_size'}
    """
    labels = plain(tree.get(LABELS))
    return labels if isinstance(labels, dict) else {}


def expand(
    value: Any, key: str, tree: dict, folder: str | Path, where: str, again: bool = True
) -> Any:
    """Replaces a name by the node that it stands for.

    Arguments
    ---------
    value : object
        Value of the key, as ruamel.yaml reads it.
    key : str
        Key of the recipe.
    tree : dict
        Content of the recipe.
    folder : str
        Folder that paths and user-defined modules are in. They run.
    where : str
        Prefix of the key in errors.
    again : bool
        Whether the recipe has a value that "default" stands for.

    Returns
    -------
    object
        Node; ``value`` if it has no name. For "default" the arguments that differ.

    Raises
    ------
    KeysError
        For an unknown name, or one that does not fit the labels; lists those that do.
    s3prl_sb.own.OwnCodeError
        For a user-defined file that cannot be loaded.

    Example
    -------
    >>> tree = Schema.of_recipe("SUPERB/KS").tree
    >>> plain(expand("adamw", "opt_class", tree, ".", "--"))
    {'tag': '!name:torch.optim.AdamW', 'lr': '!ref <lr>'}
    """
    name, arguments = _split(value)
    if name is None or key not in (HEAD, OPTIMIZER):
        return value
    if name == DEFAULT and again:
        return arguments
    if key == OPTIMIZER:
        return _optimizer(name, arguments, tree.get(key), where)
    return _head(name, arguments, tree, folder, where)


def _split(value):
    """Returns a name and the arguments beside it; None and the value otherwise."""
    if isinstance(value, str) and not tag(value):
        return str(value), {}
    if (
        isinstance(value, dict)
        and not tag(value)
        and isinstance(value.get("name"), str)
    ):
        return str(value["name"]), {k: v for k, v in value.items() if k != "name"}
    return None, value


def _optimizer(name, arguments, before, where):
    made = OPTIMIZERS.get(name.lower())
    if made is None:
        raise KeysError(
            f"{where}{OPTIMIZER}: there is no optimizer '{name}'. "
            f"{near(name, names(OPTIMIZER))} Another class is !name:module.Class."
        )
    kept = dict(before) if isinstance(before, dict) else {}
    if tag(before) != f"!name:{made}":  # the options of another class mean nothing
        kept = {"lr": kept.get("lr", _reference("lr"))}
    return _named(made, {**kept, **arguments})


def _head(name, arguments, tree, folder, where):
    labels = labels_of(tree)
    sizes = {"input_size": _reference("upstream_model.output_size")}
    if "size" in labels:
        sizes["num_classes"] = _reference(labels["size"])
    if name.endswith(".py"):
        raise KeysError(f"{where}{HEAD}: '{name}' is a file: give {name}:Class.")
    if is_code(name):
        code, fixed = own.class_name(name, folder), {}
        made = located(code)  # complete() follows if it is beside the YAML
        taken = takes(made) if made is not None else []
        sizes = {k: v for k, v in sizes.items() if taken is None or k in taken}
    else:
        try:
            code, fixed = node(name, labels.get("are"))
        except KeysError as error:
            raise KeysError(f"{where}{error}") from None
    return _named(code, {**sizes, **fixed, **arguments})


def is_code(name: str) -> bool:
    """Returns whether a name is that of code: ``FILE.py:Class`` or ``module.Class``.

    Example
    -------
    >>> is_code("heads.py:Mine"), is_code("heads.Mine"), is_code("ecapa")
    (True, True, False)
    """
    return bool(own.FILE_AND_CLASS.fullmatch(name) or _DOTTED.fullmatch(name))


def _named(name, arguments):
    from ruamel.yaml.comments import CommentedMap

    return set_tag(CommentedMap(arguments), f"!name:{name}")


def _reference(name):
    from ruamel.yaml.comments import TaggedScalar

    return TaggedScalar(f"<{name}>", tag="!ref")


def complete(tree: dict, where: Callable[[str], str]) -> None:
    """Adds to the node of the head what its recipe knows: sizes, and the pooling.

    Arguments
    ---------
    tree : dict
        Content of the recipe without names, changed in place.
    where : callable
        Takes a key and returns its prefix in errors.

    Raises
    ------
    KeysError
        For a pooling that the head does not take.

    Example
    -------
    >>> tree = {"upstream_model": {}, "pooling": None}
    >>> tree["head"] = _named("s3prl_sb.lobes.heads.frames.FrameClassifier", {})
    >>> complete(tree, str)
    >>> plain(tree["head"])["input_size"]
    '!ref <upstream_model.output_size>'
    """
    head, pooling = tree.get(HEAD), tree.get(POOLING)
    if not tag(head).startswith("!name:") or isinstance(head, list):
        return
    made = located(tag(head).partition(":")[2])
    sizes = {"num_classes": labels_of(tree).get("size"), "input_size": None}
    if "upstream_model" in tree:
        sizes["input_size"] = "upstream_model.output_size"
    wanted = parameters(made) if made is not None else {}
    for name, source in sizes.items():
        if name in wanted and wanted[name].default is wanted[name].empty and source:
            if name not in (head if isinstance(head, dict) else ()):
                head = tree[HEAD] = _with(head, name, _reference(source))
    if pooling is not None:
        if not isinstance(pooling, str) and tag(pooling) != "!ref":
            raise KeysError(
                f"{where(POOLING)}{POOLING} is a name: {', '.join(poolings())}. One "
                "with options is an argument: --head.pooling '{name: NAME, option: …}'."
            )
        _check_pooling(pooling, made, labels_of(tree), where(POOLING))
        if isinstance(head, dict) and head.get(POOLING, pooling) != pooling:
            raise KeysError(
                f"{where(POOLING)}{POOLING} is {pooling}, and the head has a pooling "
                "already: give one of them."
            )
        head = _with(head, POOLING, pooling)
    tree[HEAD] = head


def _with(head, name, value):
    """Returns the node of a head with another argument."""
    if not isinstance(head, dict):  # without any
        head = _named(tag(head).partition(":")[2], {})
    head[name] = value
    return head


def _check_pooling(pooling, made, labels, where):
    if KINDS.get(labels.get("are"), "utterances") != "utterances":
        raise KeysError(
            f"{where}{POOLING}: the labels are {labels['are']}, so a head returns a "
            "vector a frame, and nothing is pooled. Leave it out."
        )
    taken = takes(made) if made is not None else None
    if taken is not None and POOLING not in taken:
        have = [
            name
            for name, head in named_heads("classes").items()
            if POOLING in parameters(located(head.utterances))
        ]
        raise KeysError(
            f"{where}{POOLING}: {own.plain_name(made)} has no pooling to choose. "
            f"Give a --head that has: {', '.join(have)}."
        )
    ours = made is not None and made.__module__.startswith("s3prl_sb.lobes.")
    if ours and not tag(pooling) and pooling not in poolings():
        raise KeysError(
            f"{where}{POOLING}: there is no pooling '{pooling}'. "
            f"{near(str(pooling), list(poolings()))}"
        )


def check(key: str, value: Any, schema: Schema, source: str | Path, where: str) -> Any:
    """Checks a name in a file that is data, such as a budget of the benchmark.

    Arguments
    ---------
    key : str
        Key of the recipe.
    value : object
        Value of the key.
    schema : s3prl_sb.schema.keys.Schema
        Schema of the recipe.
    source : str
        File. The classes that it names by ``FILE.py:Class`` or ``module.Class`` only
        run if it is trusted.
    where : str
        Prefix of the key in errors.

    Returns
    -------
    object or None
        JSON values that the command line of a recipe takes, with absolute paths; None
        if ``value`` has no name.

    Raises
    ------
    KeysError
        See :func:`expand`.
    s3prl_sb.schema.constructors.MakingError
        For arguments that the class does not take.
    s3prl_sb.foreign.trust.TrustError
        If it names code and is not trusted.

    Example
    -------
    >>> ks = Schema.of_recipe("SUPERB/KS")
    >>> check("head", {"name": "linear", "hidden_size": 8}, ks, "my.yaml", "KS: ")
    {'name': 'linear', 'hidden_size': 8}
    """
    name, arguments = _split(value)
    if key not in (HEAD, OPTIMIZER) or name is None or not schema[key].is_made:
        return None
    folder = Path(source).parent
    if key == HEAD and is_code(name):
        trust.require(source, [f"{name} ({HEAD})"])
        file = own.FILE_AND_CLASS.fullmatch(name)
        if file:
            name = f"{Path(folder, Path(file[1]).expanduser()).resolve()}:{file[2]}"
    expanded = expand(value, key, schema.tree, folder, where)
    if name == DEFAULT:  # the arguments are those of the recipe's class
        expanded = _named(tag(schema.tree[key]).partition(":")[2], expanded)
    check_arguments(expanded, lambda line: f"{where}{key}: ")
    return plain({"name": name, **arguments}) if arguments else name


def check_pooling(values: dict, schema: Schema, source: str, where: str) -> None:
    """Checks that the head of some keys takes their pooling.

    Arguments
    ---------
    values : dict
        Keys of the recipe, which :func:`check` has seen.
    schema, source, where
        See :func:`check`.

    Raises
    ------
    KeysError
        If it does not; lists the heads that do.

    Example
    -------
    >>> check_pooling({"pooling": "mean"}, Schema.of_recipe("SUPERB/PR"), "", "PR: ")
    Traceback (most recent call last):
    ...
    s3prl_sb.schema.declarations.KeysError: PR: pooling: the labels are tokens, so …
    """
    if values.get(POOLING) is None or HEAD not in schema:
        return
    head = _named(tag(schema.tree[HEAD]).partition(":")[2], dict(schema.tree[HEAD]))
    if HEAD in values:
        given = expand(values[HEAD], HEAD, schema.tree, Path(source).parent, where)
        head = given if tag(given) else head
    complete({**schema.tree, HEAD: head, POOLING: values[POOLING]}, lambda key: where)
