"""``s3prl-sb layers``: a probe of every hidden state of an upstream, alone.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.commands import run
from s3prl_sb.errors import UserError

KEY = "probe_layers"
PLACES = ("--name", "--output_folder")


class LayersError(UserError, ValueError):
    """Layers that cannot be read as numbers, or a recipe without hidden states."""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.allow_abbrev = False  # an abbreviation may be a key of the recipe
    parser.add_argument(
        "recipe", help="its name: SUPERB/KS, KS, ks; or your own folder"
    )
    parser.add_argument(
        "--layers",
        metavar="'0 4 8'",
        help="hidden states to probe, 0 for the input of the first layer (default: "
        "all)",
    )
    parser.add_argument(
        "--weights",
        metavar="RUN",
        help="folder of a finished run whose weights are drawn beside the scores, "
        "instead of those of a weighted sum that is trained too",
    )


def main(arguments):
    """Replaces this process by the recipe's train.py."""
    name, file = run.locate(arguments.recipe)
    rest = list(arguments.rest)
    if rest and rest[0].endswith((".yaml", ".yml")):
        file = rest[0]
    check_recipe(name, file)
    rest.append(f"--{KEY}=True")
    if arguments.layers is not None:
        rest += chosen(arguments.layers)
    if arguments.weights is not None:
        rest.append(f"--weights_of={arguments.weights}")
    if not any(word.partition("=")[0] in PLACES for word in rest):
        rest.append("--name=layers")  # beside the run of the weighted sum
    return run.run_recipe(arguments.recipe, rest)


def check_recipe(name, file):
    """Checks that a recipe trains a probe over hidden states.

    Arguments
    ---------
    name : str
        Name of the recipe.
    file : str or pathlib.Path
        Its YAML.

    Raises
    ------
    LayersError
        If it does not.
    """
    from s3prl_sb.schema.keys import Schema

    schema = Schema.of(file)
    if KEY in schema and "featurizer" in schema:
        return
    other = "."
    if "layers" in schema:  # query by example
        other = f": it trains nothing. s3prl-sb run {name} compares all of them."
    raise LayersError(f"{name} has no probe of hidden states to train{other}")


def chosen(text):
    """Returns the options of a recipe that choose hidden states.

    Arguments
    ---------
    text : str
        Numbers, or "all".

    Returns
    -------
    list of str

    Raises
    ------
    LayersError
        For another text.

    Example
    -------
    >>> chosen("0 4 -1"), chosen("[0, 4]"), chosen("all")
    (['--featurizer.layers=[0, 4, -1]'], ['--featurizer.layers=[0, 4]'], [])
    """
    words = text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
    if words == ["all"]:
        return []
    try:
        layers = [int(word) for word in words]
    except ValueError:
        layers = []
    if not layers:
        raise LayersError(
            f"--layers '{text}': give numbers of hidden states, such as "
            "--layers '0 4 8', or all."
        )
    return [f"--featurizer.layers={layers}"]
