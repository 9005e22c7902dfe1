"""Terminals that are not UTF-8: every verb says what it has to say."""

import os
import subprocess
import sys

import pytest

TERMINALS = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
CODE = {
    "verbs": """
import sys
from s3prl_sb.cli import main, parser
verbs = [["run", "SUPERB/KS", "--help"], ["upstreams", "apc*"], ["--help"]]
verbs += [[v, "--help"] for v in parser()._subparsers._group_actions[0].choices]
for argv in verbs:
    try:
        status = main(argv)
    except SystemExit as stopped:
        status = stopped.code
    assert not status, argv
""",
    "letters": """
import sys
from s3prl_sb import cli
cli.upstreams.main = lambda arguments: print("\\u8a9e \\u2026 caf\\xe9")
assert cli.main(["upstreams"]) == 0
""",
    "errors": """
from s3prl_sb.cli import main
assert main(["upstreams", "\\u8a9e"]) == 1
""",
    "recipes": """
import contextlib
from s3prl_sb.startup.experiment import start
with contextlib.suppress(Exception):
    start(["none.yaml"], None)
print("\\u8a9e \\u2026")
""",
}


CASES = [(t, c) for c in CODE for t in TERMINALS if (t, c) != ("ascii", "recipes")]


@pytest.mark.parametrize(("terminal", "code"), CASES)
def test_what_a_terminal_cannot_show(terminal, code):
    environment = {**os.environ, **TERMINALS[terminal]}
    ran = subprocess.run(
        [sys.executable, "-c", CODE[code]], env=environment, capture_output=True
    )
    told = (ran.stdout + ran.stderr).decode("latin-1")
    assert ran.returncode == 0, told
    assert "UnicodeEncodeError" not in told
    if code in ("letters", "recipes", "errors"):
        assert "\\u8a9e" in told
