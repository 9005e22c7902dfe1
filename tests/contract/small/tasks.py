"""Recipes that the tests take, each with the ``small.py`` in its folder.

A ``small.py`` has ``corpus(folder)``: it writes a small corpus in the layout that the
recipe reads, and returns keys of the recipe (``data_folder`` is added). It may have
more, and these are the defaults:

* ``BUDGET``: keys of the recipe for a training of a few steps; ``{}``;
* ``tables(folder)``: writes a user's own tables, returns ``{"train_csv": path, …}``;
  of one label an utterance;
* ``UTTERANCES``: their numbers of utterances by split;
* ``check(run_folder, model, folder)``: compares what a run on them has left with what
  the model predicts;
* ``DROPOUT``: True if the head has dropout, so that two processes draw other random
  numbers than one;
* ``KILLS``: triples of a function, a number of its calls and "before", "after" or
  "half", where a run is killed; of the default ones, each recipe takes one in turn.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).parent))  # where every small.py finds clips

import labels  # noqa: E402

from s3prl_sb import resources  # noqa: E402

#: The repository's, and the folders of a user's in $S3PRL_SB_RECIPES.
RECIPES = {
    **resources.recipes(),
    **{
        Path(folder).name: Path(folder).resolve()
        for folder in os.environ.get("S3PRL_SB_RECIPES", "").split(os.pathsep)
        if folder
    },
}
DEFAULTS = {
    "BUDGET": {},
    "UTTERANCES": labels.UTTERANCES,
    "DROPOUT": False,
    "KILLS": [
        ("s3prl_sb.brains.base.SSLBrain.fit_batch", 2, "after"),
        ("torch.save", 4, "half"),
        ("speechbrain.Brain.evaluate_batch", 2, "after"),
    ],
    "tables": labels.tables,
    "check": labels.check,
}


def small(name):
    """Returns what the ``small.py`` of a recipe has, over the defaults."""
    file = RECIPES[name] / "small.py"
    spec = importlib.util.spec_from_file_location(f"small_{file.parent.name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return SimpleNamespace(**{**DEFAULTS, **vars(module)})
