"""The programs and the environment of commands that a README gives."""

import os
import signal
import sys

#: As setup.py's console script; it only has to find the package, too.
SCRIPT = """#!{python}
import os, sys
sys.path.append({root!r})
from s3prl_sb.cli import main
sys.exit(main())
"""


def environment(folder, root):
    """Makes the programs in a folder; returns the variables that find them.

    ``root`` is the checkout whose package is used.
    """
    programs = folder / "bin"
    programs.mkdir()
    script = SCRIPT.format(python=sys.executable, root=str(root))
    (programs / "s3prl-sb").write_text(script)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    # SpeechBrain lists all packages in its log: a second, not tested here.
    (programs / "pip").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    # As in a plain installation, without the extras: no plots.
    absent = folder / "absent"
    absent.mkdir()
    for extra in ("matplotlib", "tensorboard"):
        (absent / f"{extra}.py").write_text("raise ImportError('not installed')\n")
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{absent}{os.pathsep}{root}",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
        "S3PRL_SB_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
    }


def kill(process):
    """Kills a process and what it has started, if they are still there."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
