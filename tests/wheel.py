"""Builds the wheel, installs it into another environment and uses it there.

``make wheel`` links the dependencies of .venv into it, which is fast and offline;
``make wheel WHEEL=--bare`` installs them too, as a user's pip does.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ("hparams", "recipes", "templates")
SUFFIXES = {".css", ".html", ".js", ".md", ".py", ".yaml"}
WHERE = """
import sys, s3prl_sb
from s3prl_sb import resources
print(s3prl_sb.__file__)
assert s3prl_sb.__file__.startswith(sys.prefix), s3prl_sb.__file__
assert "SUPERB/KS" in resources.recipes()
"""


def build(destination):
    """Builds the wheel of this checkout; returns its path."""
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # modules that are gone by now
    shutil.rmtree(destination, ignore_errors=True)
    call(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
        *("--no-build-isolation", "--wheel-dir", destination, ROOT),
    )
    (wheel,) = destination.glob("*.whl")
    return wheel


def check_content(wheel):
    """Raises AssertionError for a file of the checkout that the wheel lacks."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"s3prl_sb/py.typed"}
    for folder in ("s3prl_sb", *DATA):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                wanted.add(name if folder == "s3prl_sb" else f"s3prl_sb/{name}")
    assert wanted <= names, f"not in the wheel: {sorted(wanted - names)}"


def install(wheel, folder, bare):
    """Makes an environment with the wheel in it; returns its folder of programs."""
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install")
    if bare:
        constraints = ("--constraint", ROOT / "constraints.txt")
        call(*pip, "--quiet", *constraints, f"{wheel}[demo]")
        return programs
    call(*pip, "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for source in sys.path:
        if Path(source).name == "site-packages":
            borrow(Path(source), site)
    return programs


def borrow(source, destination):
    """Links all that is installed into another environment, except this checkout."""
    for path in source.iterdir():
        other = destination / path.name
        if "s3prl_sb" in path.name or path.suffix == ".pth" or other.exists():
            continue
        if path.is_dir():
            shutil.copytree(path, other, copy_function=link)
        else:
            link(path, other)


def link(source, destination):
    """A hard link; on another disk, a copy."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def use(programs, folder):
    """Does in an empty folder what a new user does."""
    program = programs / "s3prl-sb"
    call(programs / "python", "-c", WHERE, cwd=folder)
    call(program, "--help", cwd=folder, stdout=subprocess.DEVNULL)
    call(program, "upstreams", "fbank*", cwd=folder)
    call(program, "check", "fbank_no_cmvn", cwd=folder)
    call(program, "toy", "speech_commands", "toy", cwd=folder)
    folders = ("--data_folder", "toy", "--output_folder", "run")
    upstream = ("--upstream", "fbank_no_cmvn", "--cache_folder", "cache")
    # --debug extracts the features of a few batches alone.
    call(program, "run", "SUPERB/KS", "--debug", *upstream, *folders, cwd=folder)
    call(program, "results", "run/debug", cwd=folder)


def call(*command, **options):
    """Runs a command away from this checkout; raises where it fails."""
    variables = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in variables}
    subprocess.run(list(map(str, command)), check=True, env=environment, **options)


def main():
    """Leaves the wheel in dist/, and nothing else."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bare", action="store_true", help="install dependencies too")
    bare = parser.parse_args().bare
    wheel = build(ROOT / "dist")
    check_content(wheel)
    (ROOT / "build").mkdir(exist_ok=True)  # on the disk of .venv: borrowed by links
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        programs = install(wheel, Path(folder, "environment"), bare)
        (empty := Path(folder, "work")).mkdir()
        use(programs, empty)
    shutil.rmtree(ROOT / "build")
    print(f"{wheel.relative_to(ROOT)} installs and works")


if __name__ == "__main__":
    main()
