"""Configuration of a recipe: its YAML with command-line overrides, checked and built.

Every mistake is reported before data are read, in one to three lines that name the
option, or the file and the line.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from pathlib import Path

from s3prl_sb import foreign
from s3prl_sb.dataio.rates import check_recipe
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import copied, plain, shown, tag, walk
from s3prl_sb.schema import constructors
from s3prl_sb.schema.combinations import LABELS, check_together
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import named
from s3prl_sb.storage.yaml_texts import yaml_parser
from s3prl_sb.terminal.messages import near, reason

#: Key of the loaded settings: the recipe with its overrides, as plain data.
RECIPE = "recipe_settings"
#: Key of the loaded settings: the :class:`~s3prl_sb.schema.keys.Schema` of the recipe.
SCHEMA = "recipe_schema"
#: Key of the settings of a started run: SpeechBrain's options, such as the device.
RUN_OPTS = "run_opts"


class RecipeError(UserError, ValueError):
    """Setting with which a recipe cannot work."""


def load_recipe(hparams_file: str | Path, overrides: str = "") -> dict:
    """Loads a recipe's YAML with command-line overrides.

    Arguments
    ---------
    hparams_file : str
        YAML file.
    overrides : str
        YAML, as ``speechbrain.parse_arguments`` returns it.

    Returns
    -------
    dict
        Objects that the YAML defines. Under :data:`RECIPE` the recipe as plain data:
        its keys with the overrides and with unresolved references, but
        ``upstream_model`` with the entries of its card. A continued run is compared
        with it. Under :data:`SCHEMA` the schema of the recipe.

    Raises
    ------
    RecipeError
        For a key that the recipe does not have, nested ones included: SpeechBrain
        would accept it without effect.
    s3prl_sb.schema.keys.KeysError
        For an invalid value of a key.
    s3prl_sb.schema.constructors.MakingError
        For an object that cannot be made.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    ...     _ = file.write("lr: 0.1\\nbatch_size: 4")
    ...     file.flush()
    ...     load_recipe(file.name, "batchsize: 8")
    Traceback (most recent call last):
    ...
    s3prl_sb.startup.configuration.RecipeError: There is no key 'batchsize'. Did you …?
    """
    return Configuration(hparams_file, overrides).make()


class Settings(dict):
    """Settings of a recipe; a missing key raises an error that names it.

    Example
    -------
    >>> Settings(lr=0.1)["seed"]
    Traceback (most recent call last):
    ...
    s3prl_sb.startup.configuration.RecipeError: The recipe's YAML has no key 'seed', …
    """

    def __missing__(self, key):
        raise RecipeError(
            f"The recipe's YAML has no key '{key}', which its train.py needs. Take it "
            "over from the YAML that yours began as."
        )


class Configuration:
    """Recipe with overrides whose values have been checked.

    Arguments
    ---------
    hparams_file, overrides
        See :func:`load_recipe`, also for the errors.

    Example
    -------
    >>> from s3prl_sb import resources
    >>> file = resources.recipes()["SUPERB/KS"] / "hparams" / "train.yaml"
    >>> recipe = Configuration(file, "{upstream: mel, lr: 1e-3, skip_prep: no}")
    >>> recipe.resolved["opt_class"]["lr"], recipe.resolved["skip_prep"]
    (0.001, False)
    >>> recipe.resolved["output_folder"]
    'results/KS/mel/1986'
    """

    def __init__(self, hparams_file: str | Path, overrides: str = ""):
        self.schema = Schema.of(hparams_file)
        recipe = copied(self.schema.tree)
        self._expand(recipe, recipe, self.schema.file.parent, is_recipe=True)
        self.schema.tree = recipe
        self.changes = read_overrides(overrides)
        tree = self._with_own_modules(self._merged())
        named.complete(tree, self.prefix)
        #: YAML with the overrides, without names, and with unresolved references.
        self.written = self._checked(tree)
        #: The same with resolved references; no object is made yet.
        self.resolved = self._checked(self._without_references())
        values = {key: self.resolved[key] for key in (*self.schema, *self._labels())}
        check_together(values)

    def _labels(self):
        return [LABELS] if LABELS in self.resolved else []

    def prefix(self, key: str) -> str:
        """Returns the prefix of a key in errors: ``--``, or the file and the line.

        Arguments
        ---------
        key : str
            Key of the recipe.

        Returns
        -------
        str
        """
        if key in self.changes:
            return "--"
        return f"{self.schema.place(key)}: "

    def make(self) -> dict:
        """Makes the objects of the recipe.

        Returns
        -------
        dict
            See :func:`load_recipe`.

        Raises
        ------
        s3prl_sb.schema.constructors.MakingError, s3prl_sb.schema.keys.KeysError
            For an object that cannot be made, or has the wrong class.
        s3prl_sb.dataio.rates.RateError
            For pipes whose sample rate is not the upstream's.
        """
        made = constructors.make(self.resolved, lambda key: f"{self.prefix(key)}{key}")
        for key in self.schema:
            made[key] = self.schema.check_made(key, made[key], self.prefix(key))
        check_recipe(made)
        recipe = {key: plain(self.written[key]) for key in self.schema}
        if tag(self.written.get("upstream_model")).startswith("!applyref:"):  # a card
            recipe["upstream_model"] = plain(self.resolved["upstream_model"])
        return Settings(made, **{RECIPE: recipe, SCHEMA: self.schema})

    def text(self) -> str:
        """Returns the recipe as YAML without references, which a run saves.

        Returns
        -------
        str
        """
        file = os.path.abspath(self.schema.file)
        return f"# Made from {file}\n{_dumped(self.resolved)}"

    def _merged(self):
        tree = copied(self.schema.tree)
        self._expand(self.changes, tree, Path.cwd())
        for key, value in self.changes.items():
            _check_key(key, value, tree, "", self.schema[key].inside)
        _merge(tree, self.changes)
        for key in self.schema:
            if tag(tree[key]) == "!PLACEHOLDER":
                raise RecipeError(f"The recipe needs a value: give --{key} VALUE.")
        for key in tree:
            _check_references(tree[key], tree, f"{self.prefix(key)}{key}: ")
        return tree

    def _expand(self, values, tree, folder, is_recipe=False):
        """Replaces names such as ``head: ecapa`` by the nodes they stand for."""
        for key in (named.HEAD, named.OPTIMIZER):
            if key in values and key in tree and self.schema[key].is_made:
                where = f"{self.schema.place(key)}: " if is_recipe else "--"
                values[key] = named.expand(
                    values[key], key, tree, folder, where, again=not is_recipe
                )

    def _with_own_modules(self, tree):
        """Loads user-defined modules from the folder of the YAML, which is the user's
        program. Python itself finds modules next to train.py."""
        folder = self.schema.file.resolve().parent
        if not any(foreign.beside(name, folder) for name in foreign.own_names(tree)):
            return tree
        with trust.trusting():
            return foreign.with_own_names(tree, folder)

    def _checked(self, tree):
        for key in self.schema:
            try:
                value = self.schema.check(key, tree[key], self.prefix(key))
                if repr(plain(value)) != repr(plain(tree[key])):  # keep its format
                    tree[key] = value
            except RecursionError as error:
                place = f"{self.prefix(key)}{key}"
                raise RecipeError(f"{place} is nested too deeply.") from error
        return tree

    def _naming(self, key):
        """Returns the key with the name of a card, for a key that is made of it."""
        node = self.written.get(key)
        name = node.get("name") if isinstance(node, dict) else None
        named_by = re.fullmatch(r"<(\w+)>", str(getattr(name, "value", "")))
        return named_by[1] if named_by else key

    def _without_references(self):
        _write_out(self.written)
        try:
            resolved = programs.resolve(self.written, self.schema.file)
            _write_out(resolved)
        except UserError as error:  # such as that of a card
            key = self._naming(_key_of(error))
            if key in self.schema:
                error.args = (f"{self.prefix(key)}{key}: {error}",)
            raise
        except Exception as error:  # what !applyref calls may raise anything
            key = _key_of(error)
            place = f"{self.prefix(key)}{key}" if key in self.schema else None
            place = place or shown(self.schema.file)
            raise RecipeError(f"{place}: {reason(error)}.") from error
        for key in self.schema:
            if any(map(_reference, walk(resolved[key]))):  # HyperPyYAML leaves them
                raise RecipeError(
                    f"{self.prefix(key)}{key}: its references go round in a circle."
                )
        return resolved


def read_overrides(overrides: str) -> dict:
    """Reads the overrides that ``speechbrain.parse_arguments`` returns.

    Arguments
    ---------
    overrides : str
        YAML.

    Returns
    -------
    dict

    Raises
    ------
    RecipeError
        For a key that is given twice, or for invalid YAML.
    """
    import ruamel.yaml

    try:
        changes = yaml_parser().load(overrides) if overrides else {}
    except ruamel.yaml.constructor.DuplicateKeyError as error:
        key = error.problem.partition('"')[2].partition('"')[0]
        raise RecipeError(f"--{key} is given twice: keep one.") from error
    except ruamel.yaml.error.MarkedYAMLError as error:
        line = error.problem_mark or error.context_mark
        line = overrides.splitlines()[line.line].strip() if line else overrides
        raise RecipeError(
            f"The command line is no YAML at '{line}': {error.problem}. Quote what "
            "belongs together, such as --head '{hidden_size: 8}'."
        ) from error
    if not isinstance(changes, dict):
        raise RecipeError(f"'{overrides}' belongs to no key: give --key value.")
    return changes


def text(changes: dict) -> str:
    """Returns overrides as YAML, for :func:`read_overrides`.

    Arguments
    ---------
    changes : dict
        Keys and values.

    Returns
    -------
    str
    """
    return _dumped(changes) if changes else ""


def _check_key(key, value, nodes, prefix, inside):
    """Checks that a recipe has a key, and the entries of a mapping.

    ``inside`` are the declared entries, which a mapping may have beside its own.
    """
    if key not in nodes or not prefix and str(key).startswith("__"):
        names = [str(name) for name in nodes if str(name)[:2] != "__"]
        raise RecipeError(
            f"There is no key '{prefix}{key}'. {near(str(key), names, prefix)}"
        )
    node = nodes[key]
    if isinstance(value, dict) and tag(node) and not isinstance(node, dict):
        if tag(value):
            return  # it replaces the node
        written = f"{tag(node)} {getattr(node, 'value', node)}".strip()
        raise RecipeError(
            f"'{prefix}{key}' is {written} in the recipe, without arguments: "
            f"{dict(value)} cannot be given to it. Change it in a copy of the YAML."
        )
    # The arguments of a constructor are checked against its signature.
    is_mapping = isinstance(node, dict) or node is None and inside
    if isinstance(value, dict) and is_mapping and not tag(node):
        entries = {**dict.fromkeys(inside), **(node or {})}
        for inner, inner_value in value.items():
            declared = inside[inner].inside if inner in inside else {}
            _check_key(inner, inner_value, entries, f"{prefix}{key}.", declared)


def _merge(node, changes):
    """Merges arguments; a node with its own tag replaces the other."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(node.get(key), dict):
            if not tag(value):
                _merge(node[key], value)
                continue
        node[key] = value


def _write_out(tree):
    """Sets block style where tags are in brackets, which ruamel.yaml loses there.

    Removes the comment of a reference to an attribute, which has become a list with a
    tag: ruamel.yaml may write the first item into the line of the comment.
    """
    for node in walk(tree):
        if isinstance(node, (dict, list)) and hasattr(node, "fa"):
            if any(tag(inner) for inner in walk(node)):
                node.fa.set_block_style()
        for key in node if isinstance(node, dict) else ():
            if isinstance(node[key], list) and tag(node[key]) and hasattr(node, "ca"):
                node.ca.items.pop(key, None)


def _check_references(node, tree, where):
    """Checks that `!ref <a[b].c>` refers to a key."""
    for inner in walk(node):
        for reference in re.findall("<([^>]*)>", _reference(inner)):
            branch = tree
            for part in reference.split(".")[0].split("["):
                part = part.strip("]")
                if not isinstance(branch, dict) or part not in branch:
                    names = [*branch] if isinstance(branch, dict) else []
                    raise RecipeError(
                        f"{where}<{reference}> refers to no key. "
                        + near(part, [str(k) for k in names if str(k)[:2] != "__"])
                    )
                branch = branch[part]


def _reference(node):
    """Returns the text of a reference; "" for other nodes."""
    is_reference = tag(node) in ("!ref", "!copy")
    return str(getattr(node, "value", "")) if is_reference else ""


def _key_of(error):
    """Returns the key that HyperPyYAML failed at; None if unknown."""
    frame = error.__traceback__
    while frame is not None:
        key = frame.tb_frame.f_locals.get("key")
        if frame.tb_frame.f_code.co_name == "_walk_tree_and_resolve" and key != "root":
            return re.split(r"[\[.]", str(key))[0]
        frame = frame.tb_next
    return None


def _dumped(tree):
    _write_out(tree)
    return programs.text_of(tree)
