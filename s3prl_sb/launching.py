"""How the command line becomes a recipe, or says what one can be told.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import os
import sys

from s3prl_sb import resources

HELP = """# Keys of {name}: give --key value for any, or a YAML file of your own first,
# s3prl-sb run {name} mine.yaml … It begins as this one,
# {path}:

{text}
# Options of SpeechBrain: --device, --precision, --debug, --noprogressbar and others,
# see https://speechbrain.readthedocs.io
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
        with open(rest[0], encoding="utf-8") as file:
            print(HELP.format(name=name, path=rest[0], text=file.read()), end="")
        return 0
    command = [sys.executable, str(found[name] / "train.py"), *rest]
    # Threads that wait for work should not burn a core meanwhile.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.stdout.flush()
    os.execv(sys.executable, command)
