"""Snapshot of what a run was started with: its recipe, script and environment.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import importlib.metadata
import platform
import re
import shutil
import sys
from pathlib import Path

from s3prl_sb import own
from s3prl_sb.storage.files import write_text

_FIELD = re.compile(r"^(Name|Version): *(\S+)", re.MULTILINE)


def save(folder: str | Path, recipe: str):
    """Writes hyperparams.yaml, env.log and a copy of train.py into a run's folder.

    Arguments
    ---------
    folder : str or pathlib.Path
        Output folder of the run.
    recipe : str
        Recipe as YAML without references. User-defined modules that it names are
        copied too.
    """
    hyperparams = Path(folder) / "hyperparams.yaml"
    write_text(hyperparams, recipe)
    own.keep(hyperparams)
    write_text(Path(folder) / "env.log", environment())
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file():
        shutil.copyfile(script, Path(folder) / script.name)


def environment() -> str:
    """Describes the environment of this process, as ``env.log`` of a run holds it.

    The packages are those that this interpreter finds. SpeechBrain asks the ``pip``
    that comes first on the ``PATH``, which takes longer and may belong to another
    Python.

    Returns
    -------
    str
        A line for each of Python, the system and the installed packages, sorted.

    Example
    -------
    >>> lines = environment().splitlines()
    >>> lines[0].startswith("Python 3"), any(x.startswith("torch==") for x in lines)
    (True, True)
    """
    import torch

    packages = _packages()
    lines = [
        f"Python {platform.python_version()} ({sys.executable})",
        f"System {platform.platform()}",
        f"CUDA {torch.version.cuda or 'none'}",
    ]
    lines += [f"{name}=={packages[name]}" for name in sorted(packages, key=str.lower)]
    return "\n".join(lines) + "\n"


@functools.cache
def _packages():
    """Returns the versions of the installed packages by name.

    Of their descriptions the heads are read: ``metadata`` parses the whole of them.
    """
    found = {}
    for each in importlib.metadata.distributions():
        text = each.read_text("METADATA") or str(each.metadata)
        fields = dict(_FIELD.findall(text.partition("\n\n")[0]))
        if "Name" in fields:
            found[fields["Name"]] = fields.get("Version")
    return found
