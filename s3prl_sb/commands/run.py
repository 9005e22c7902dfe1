"""``s3prl-sb run``: a recipe by its name, or the help of its keys.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import itertools
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError

#: Beginning of recipes whose short names are those of SUPERB's, which precede them.
LATER = "ML-SUPERB/"
HELP = """s3prl-sb run {name} --key value …
The keys, their defaults, and what they take; arguments in braces are given as
--head '{{hidden_size: 64}}' or --head.hidden_size 64. Or write a YAML file of your own,
which begins as
{path}
and comes first: s3prl-sb run {name} mine.yaml …

{text}

--name NAME puts a second setting beside the default output_folder: …/<seed>-NAME.
Options of SpeechBrain: --device, --precision, --debug, --noprogressbar and others, see
https://speechbrain.readthedocs.io
S3PRL_SB_TRACEBACK=1 shows where an error comes from.
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.epilog = "Recipes: " + ", ".join(resources.recipe_files())
    parser.add_argument(
        "recipe", nargs="?", help="its name: SUPERB/KS, KS, ks; or your own folder"
    )
    parser.add_argument("--list", action="store_true", help="say what each recipe is")


def main(arguments):
    """Prints a line for each recipe; a named one is run by :func:`run_recipe`."""
    if not arguments.list:
        raise ValueError("run needs the name of a recipe; run --list says them all")
    print("\n".join(descriptions()))


def run_recipe(name: str, rest: list[str]) -> int:
    """Replaces this process by a recipe's train.py, or prints the recipe's keys.

    Arguments
    ---------
    name : str
        Name or folder of the recipe, see :func:`locate`.
    rest : list of str
        Rest of the command line. With ``--help`` nothing is run.

    Returns
    -------
    int
        Exit status if nothing is run.
    """
    try:
        name, file = locate(name)
    except UserError as error:
        print(f"s3prl-sb: {error}", file=sys.stderr)
        return 1
    if not rest or not rest[0].endswith((".yaml", ".yml")):
        rest = [str(file), *rest]
    if {"-h", "--help"} & set(rest):
        from s3prl_sb.commands import recipe_help

        try:
            text = recipe_help.text(rest[0])
        except UserError as error:
            print(f"s3prl-sb: {error}", file=sys.stderr)
            return 1
        print(HELP.format(name=name, path=rest[0], text=text), end="")
        return 0
    script = str(file.parents[1] / "train.py")
    command = [sys.executable, "-m", "s3prl_sb.startup.script", script, *rest]
    # Threads that wait for work should not burn a core meanwhile.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.stdout.flush()
    os.execv(sys.executable, command)


class UnknownRecipe(UserError, ValueError):
    """Name of no recipe, or of several."""


def locate(name: str) -> tuple[str, Path]:
    """Returns the full name and the YAML file of a recipe.

    Arguments
    ---------
    name : str
        Name, see :func:`find`, or a folder that has a ``train.py``. A folder with the
        name of a recipe is ``./NAME``.

    Returns
    -------
    name : str
    file : pathlib.Path
        ``hparams/train.yaml``, or another one beside the ``train.py``.

    Raises
    ------
    UnknownRecipe
        If there is neither.

    Example
    -------
    >>> locate("ks")[0]
    'SUPERB/KS'
    """
    files = resources.recipe_files()
    try:
        name = find(name, files)
    except UnknownRecipe:
        folder = Path(name).expanduser().resolve()
        if not name or not (folder / "train.py").is_file():
            raise
        return name, _only_recipe(folder, name, files)
    return name, files[name]


def _only_recipe(folder, name, files):
    """Returns the train.yaml of a folder; without one, a recipe must be named."""
    there = [n for n, file in files.items() if file.parents[1] == folder]
    file = folder / "hparams" / "train.yaml"
    if len(there) > 1 and not file.is_file():
        raise UnknownRecipe(
            f"'{name}' holds several recipes: give one, {', '.join(there)}."
        )
    return file


def find(name: str, names: Iterable[str]) -> str:
    """Returns the full name of a recipe.

    Arguments
    ---------
    name : str
        Name such as "SUPERB/KS", or its last parts, in upper or lower case. A recipe
        precedes a variant of another one: "asr" is SUPERB/ASR, not SUPERB/ST/asr; and
        SUPERB's precedes that of ML-SUPERB.
    names : iterable of str
        Names of all recipes.

    Returns
    -------
    str

    Raises
    ------
    UnknownRecipe
        With similar names, and all names.

    Example
    -------
    >>> find("ks", ["SUPERB/KS", "SUPERB/ASR"]), find("SE/stft2", ["SUPERB/SE/stft2"])
    ('SUPERB/KS', 'SUPERB/SE/stft2')
    """
    names = list(names)
    if name in names:
        return name
    wanted = name.strip("/").lower()
    matches = [other for other in names if other.lower() == wanted]
    matches = matches or [o for o in names if o.lower().endswith(f"/{wanted}")]
    depth = min((other.count("/") for other in matches), default=0)
    matches = [other for other in matches if other.count("/") == depth]
    matches = [o for o in matches if not o.startswith(LATER)] or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownRecipe(f"'{name}' may be {' or '.join(matches)}: give all of it.")
    lower = {other.lower(): other for other in names}
    lower |= {other.rpartition("/")[2]: name for other, name in lower.items()}
    near = [lower[key] for key in difflib.get_close_matches(wanted, list(lower), n=3)]
    groups = {other.partition("/")[0].lower() for other in names}
    group = difflib.get_close_matches(wanted, list(groups), n=1, cutoff=0.8)
    inside = [o for o in names if group and o.lower().startswith(f"{group[0]}/")]
    similar = list(dict.fromkeys([*inside, *near]))[:3]
    hint = f"Did you mean {' or '.join(similar)}? " if similar else ""
    raise UnknownRecipe(f"no recipe '{name}'. {hint}There are: {', '.join(names)}.")


def descriptions() -> list[str]:
    """Lists all recipes with a line that says what each is.

    Returns
    -------
    list of str
        The first sentence of ``train.py``, or of a YAML that is not ``train.yaml``,
        without the name of the corpus.

    Example
    -------
    >>> [line for line in descriptions() if line.startswith("SUPERB/KS")]
    ['SUPERB/KS   keyword spotting: which of twelve words a second of audio is']
    """
    rows = {
        name: _summary(name, path) for name, path in resources.recipe_files().items()
    }
    width = max(map(len, rows), default=0)
    return [f"{name:{width}}  {summary}" for name, summary in rows.items()]


def _summary(name, file):
    """Returns the first sentence about a recipe, without its corpus."""
    if file.name == "train.yaml":
        text = (file.parents[1] / "train.py").read_text("utf-8").partition('"""')[2]
        text = text.partition('"""')[0].partition("\n\n")[0]
    else:
        lines = file.read_text("utf-8").splitlines()
        comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
        text = "\n".join(line.lstrip("# ") for line in comments)
    sentence = re.split(r"\.(?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    benchmark = re.escape(name.partition("/")[0])  # SUPERB, and SUPERB-SG
    return re.sub(rf"^{benchmark}(?:-\w+)?[: ]+", "", sentence)
