"""How the command line becomes a recipe, or says what one can be told.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import os
import sys

from s3prl_sb import resources
from s3prl_sb.errors import UserError

HELP = """s3prl-sb run {name} --key value …
The keys, their defaults, and what they take; arguments in braces are given as
--head '{{hidden_size: 64}}'. Or write a YAML file of your own, which begins as
{path}
and comes first: s3prl-sb run {name} mine.yaml …

{text}

Options of SpeechBrain: --device, --precision, --debug, --noprogressbar and others, see
https://speechbrain.readthedocs.io
S3PRL_SB_TRACEBACK=1 shows where an error comes from.
"""


def run(name, rest):
    """Becomes a recipe's train.py, or prints its keys.

    Arguments
    ---------
    name : str
        Of the recipe.
    rest : list of str
        The command line after it; with ``--help`` nothing is run.

    Returns
    -------
    int
        The exit status, if it does not become the recipe.
    """
    found = resources.recipes()
    if name not in found:
        near = difflib.get_close_matches(name, found, n=3, cutoff=0.3)
        print(
            f"s3prl-sb: no recipe '{name}'. "
            + (f"Did you mean {' or '.join(near)}? " if near else "")
            + f"There are: {', '.join(found)}.",
            file=sys.stderr,
        )
        return 1
    if not rest or not rest[0].endswith((".yaml", ".yml")):
        rest = [str(found[name] / "hparams" / "train.yaml"), *rest]
    if {"-h", "--help"} & set(rest):
        from s3prl_sb import recipe_help

        try:
            text = recipe_help.text(rest[0])
        except UserError as error:
            print(f"s3prl-sb: {error}", file=sys.stderr)
            return 1
        print(HELP.format(name=name, path=rest[0], text=text), end="")
        return 0
    command = [sys.executable, str(found[name] / "train.py"), *rest]
    # Threads that wait for work should not burn a core meanwhile.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.stdout.flush()
    os.execv(sys.executable, command)
