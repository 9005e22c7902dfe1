"""What a run is made in: Python, its packages, the machine.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib.metadata
import platform
import sys


def environment():
    """Describes the environment of this process, as ``env.log`` of a run holds it.

    The packages are those that this interpreter finds. SpeechBrain asks the ``pip``
    that comes first on the ``PATH``, which takes longer and may be another's.

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

    packages = {
        found.name: found.version
        for found in importlib.metadata.distributions()
        if found.name
    }
    lines = [
        f"Python {platform.python_version()} ({sys.executable})",
        f"System {platform.platform()}",
        f"CUDA {torch.version.cuda or 'none'}",
    ]
    lines += [f"{name}=={packages[name]}" for name in sorted(packages, key=str.lower)]
    return "\n".join(lines) + "\n"
