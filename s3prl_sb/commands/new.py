"""``s3prl-sb new upstream|corpus|task NAME``: a working start, from the templates.

In a checkout the files go to their places in the package, elsewhere into a folder. The
templates call the new thing ``my_upstream``, ``my_corpus`` or ``my_task``, which is
replaced by its name.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import importlib.util
import io
import keyword
import re
import shlex
import tokenize
from pathlib import Path
from typing import NamedTuple

from s3prl_sb import resources
from s3prl_sb.errors import UserError

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 30  # characters of a name, so that lines of code stay short


class NewError(UserError, ValueError):
    """A name that cannot be given, or a place that is taken."""


class Kind(NamedTuple):
    """Files, replacements and next steps of a template.

    Arguments
    ---------
    places : dict
        Files of the template to their places in a checkout; others are for a folder
        outside only.
    in_checkout : dict
        Texts to their replacements in a checkout.
    edit : str
        Parts to change first.
    steps : tuple of str
        Commands to run next in the folder; ``{folder}`` is its path from here.
    steps_in_checkout : tuple of str
        The same in a checkout.
    """

    places: dict[str, str]
    in_checkout: dict[str, str]
    edit: str
    steps: tuple[str, ...]
    steps_in_checkout: tuple[str, ...]


KINDS = {
    "upstream": Kind(
        places={
            "my_upstream.py": "s3prl_sb/lobes/upstreams/my_upstream.py",
            "card.yaml": "hparams/upstreams/my_upstream.yaml",
            "test_my_upstream.py": "tests/unit/test_my_upstream.py",
        },
        in_checkout={
            "!new:my_upstream.": "!new:s3prl_sb.lobes.upstreams.my_upstream.",
            '__file__.replace("test_my_upstream.py", "card.yaml")': '"my_upstream"',
        },
        edit="the network and `convert` in my_upstream.py, the card's facts",
        steps=(
            "cd {folder} && s3prl-sb trust .",
            "s3prl-sb check card.yaml",
            "python -m pytest --doctest-modules *.py",
            "s3prl-sb run SUPERB/KS --upstream card.yaml --data_folder DIR",
        ),
        steps_in_checkout=(
            "s3prl-sb check my_upstream",
            "python -m pytest tests/unit/test_my_upstream.py "
            "s3prl_sb/lobes/upstreams/my_upstream.py tests/unit/test_catalogue.py "
            "tests/unit/test_docs.py tests/contract "
            "-k 'my_upstream or test_catalogue'",
            "s3prl-sb run SUPERB/KS --upstream my_upstream --data_folder DIR",
        ),
    ),
    "corpus": Kind(
        places={
            "my_corpus.py": "s3prl_sb/corpora/my_corpus.py",
            "my_corpus_toy.py": "s3prl_sb/corpora/toys/my_corpus.py",
            "test_my_corpus.py": "tests/unit/test_my_corpus.py",
        },
        in_checkout={
            "from my_corpus import": "from s3prl_sb.corpora.my_corpus import",
            "from my_corpus_toy import": "from s3prl_sb.corpora.toys.my_corpus import",
        },
        edit="the facts and the parser in my_corpus.py, the layout of its toy",
        steps=(
            "cd {folder} && python -m pytest --doctest-modules *.py",
            "python -c \"from my_corpus_toy import my_corpus; my_corpus('toy')\"",
        ),
        steps_in_checkout=(
            "python -m pytest tests/unit/test_my_corpus.py "
            "s3prl_sb/corpora/my_corpus.py tests/unit/test_docs.py tests/contract "
            "-k my_corpus",
            "s3prl-sb toy my_corpus toy",
            "s3prl-sb download my_corpus DIR",
        ),
    ),
    "task": Kind(
        places={
            name: f"recipes/my_task/{name}"
            for name in ("README.md", "train.py", "hparams/train.yaml", "small.py")
        },
        in_checkout={},
        edit="the data and the Brain in train.py, the numbers in hparams/train.yaml, "
        "the corpus in small.py",
        steps=(
            "python -m pytest {folder}",
            "s3prl-sb run {folder} --data_folder DIR --debug",
            "s3prl-sb run {folder} --data_folder DIR",
        ),
        steps_in_checkout=(
            "python -m pytest tests/contract tests/unit/test_docs.py -k my_task",
            "python -m pytest tests/integration/test_every_recipe.py -k my_task",
            "s3prl-sb run my_task --data_folder DIR --debug",
            "s3prl-sb run my_task --data_folder DIR",
        ),
    ),
}


def add_arguments(parser):
    """Adds the arguments of ``s3prl-sb new``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.add_argument("kind", choices=list(KINDS), help="what is added")
    parser.add_argument("name", help="its name, such as my_model")
    parser.add_argument(
        "--folder",
        help="folder to make (default: in a checkout its places there, elsewhere NAME)",
    )


def main(arguments):
    """Makes the files, and prints what to do with them.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of :func:`add_arguments`.
    """
    kind, name = arguments.kind, arguments.name
    checkout = None if arguments.folder else checkout_of(Path.cwd())
    if checkout:
        paths = add(kind, name, checkout)
    else:
        paths = make(kind, name, arguments.folder or name)
    print("\n".join(f"made  {path}" for path in paths))
    steps = KINDS[kind].steps_in_checkout if checkout else KINDS[kind].steps
    folder = shlex.quote(arguments.folder or name)
    print(f"edit  {_named(KINDS[kind].edit, kind, name)}")
    for step in steps:
        print(f"next  {_named(step, kind, name).format(folder=folder)}")


def checkout_of(folder: Path) -> Path | None:
    """Returns the checkout that a folder is in.

    Arguments
    ---------
    folder : pathlib.Path
        Absolute path.

    Returns
    -------
    pathlib.Path or None

    Example
    -------
    >>> checkout_of(Path("/")) is None
    True
    """
    parts = ("s3prl_sb/lobes/upstreams", "hparams/upstreams", "recipes")
    places = (folder, *folder.parents)
    return next((p for p in places if all((p / part).is_dir() for part in parts)), None)


def add(kind: str, name: str, checkout: Path) -> list[Path]:
    """Adds an upstream, corpus or task to a checkout.

    Arguments
    ---------
    kind : str
        A key of :data:`KINDS`.
    name : str
        Its name.
    checkout : pathlib.Path
        Root of the repository.

    Returns
    -------
    list of pathlib.Path
        The new files.

    Raises
    ------
    NewError
        If the name cannot be given, or a file exists. Nothing is written then.
    """
    check_name(kind, name)
    texts = {}
    for file, place in KINDS[kind].places.items():
        text = _text(kind, file)
        for outside, inside in KINDS[kind].in_checkout.items():
            text = text.replace(outside, inside)
        text = _with_sorted_imports(_named(text, kind, name))
        texts[checkout / _named(place, kind, name)] = text
    for test in [path for path in texts if path.name.startswith("test_")]:
        # pytest cannot collect two files of one name.
        for other in (checkout / "tests").rglob(test.name):
            raise NewError(f"{other} exists: give '{name}' another name")
    return _write(texts)


def make(kind: str, name: str, folder: str) -> list[Path]:
    """Makes a folder with an upstream, corpus or task.

    Arguments
    ---------
    kind : str
        A key of :data:`KINDS`.
    name : str
        Its name.
    folder : str
        Folder to make.

    Returns
    -------
    list of pathlib.Path
        The new files.

    Raises
    ------
    NewError
        If the name cannot be given, or the folder has any content. Nothing is written
        then.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = make("task", "birds", f"{folder}/birds")
    ...     sorted(path.name for path in paths)
    ['README.md', 'small.py', 'test_birds.py', 'train.py', 'train.yaml']
    """
    check_name(kind, name)
    place = Path(folder).expanduser()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise NewError(f"{place} exists: give another --folder")
    template, texts = _template(kind), {}
    for path in sorted(template.rglob("*")):
        file = path.relative_to(template).as_posix()
        if path.is_file() and "__pycache__" not in file:
            text = _named(_text(kind, file), kind, name)
            texts[place / _named(file, kind, name)] = text
    return _write(texts)


def check_name(kind: str, name: str):
    """Checks that a module, a card or a recipe can have a name.

    Arguments
    ---------
    kind : str
        A key of :data:`KINDS`.
    name : str
        The name.

    Raises
    ------
    NewError
        If it is malformed, or taken by a recipe, a published card, a Python module or
        the code of the template.

    Example
    -------
    >>> check_name("corpus", "My-Corpus")
    Traceback (most recent call last):
    ...
    s3prl_sb.commands.new.NewError: 'My-Corpus' is no name: ...
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST or keyword.iskeyword(name):
        raise NewError(
            f"'{name}' is no name: use lower-case letters, digits and single "
            f"underscores, such as my_{kind}, {LONGEST} characters at most"
        )
    recipes = {
        part.lower() for path in resources.recipe_files() for part in path.split("/")
    }
    if kind == "task" and name in recipes:
        raise NewError(f"there is a recipe '{name}': give another name")
    if kind == "upstream":
        from s3prl_sb.commands.completion import upstreams

        if name in upstreams():
            raise NewError(f"there is an upstream '{name}': give another name")
    if importlib.util.find_spec(name):
        raise NewError(f"'{name}' is a Python module already: give another name")
    for path in sorted(_template(kind).glob("*.py")):
        words = _identifiers(_named(path.read_text("utf-8"), kind, ""))
        if not words.isdisjoint((name, _camel(name))):
            raise NewError(f"'{name}' is a name in {path.name}: give another name")


def _template(kind):
    return resources.folder("templates") / f"new_{kind}"


def _text(kind, file):
    return _template(kind).joinpath(file).read_text("utf-8")


def _named(text, kind, name):
    """Replaces the names in a template: ``my_corpus`` and ``MyCorpus``."""
    camel = _camel(name)
    return text.replace(f"my_{kind}", name).replace(f"My{kind.capitalize()}", camel)


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def _identifiers(text):
    """Returns the names of a program, which the name of the new thing would hide."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def _with_sorted_imports(text):
    """Sorts the lines that import from the package, as the linter wants them."""
    lines = text.splitlines(keepends=True)
    imports = [line for line in lines if line.startswith("from s3prl_sb")]
    if not imports or any("(" in line for line in imports):
        return text
    last = max(i for i, line in enumerate(lines) if line in imports)
    rest = [line for line in lines[: last + 1] if line not in imports]
    return "".join([*rest, *sorted(imports), *lines[last + 1 :]])


def _write(texts):
    for path in texts:
        if path.exists():
            raise NewError(f"{path} exists, and is left as it is")
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError:  # half of them would be in the way of the next attempt
        for path in texts:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    return list(texts)
