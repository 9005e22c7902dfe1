"""``s3prl-sb completion``: verbs, recipes, keys and upstreams on Tab.

``s3prl-sb completion bash`` prints a script for the shell's start-up file. The script
calls ``s3prl-sb completion words …``, which reads names and imports nothing heavy.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb import resources
from s3prl_sb.corpora import downloads
from s3prl_sb.corpora.toys import TOYS
from s3prl_sb.runs import suites

WORDS = "words"
#: Options of SpeechBrain, and ours, that every recipe takes.
OF_EVERY_RECIPE = ("--help", "--name", "--debug", "--device", "--precision")
OF_EVERY_RECIPE += ("--noprogressbar", "--trust")
KEY = re.compile(r"^([A-Za-z]\w*):", re.M)
DEFAULTS = re.compile(r"^__defaults: \[(.*)\]$", re.M)
LABELS = re.compile(r"^__labels:\n +are: (\w+)", re.M)
BASH = """\
# s3prl-sb completion bash >> ~/.bashrc
_s3prl_sb() {
    local IFS=$'\\n'
    COMPREPLY=($(s3prl-sb completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _s3prl_sb s3prl-sb
"""
ZSH = """\
# s3prl-sb completion zsh >> ~/.zshrc
_s3prl_sb() {
    local -a found
    found=(${(f)"$(s3prl-sb completion words "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _s3prl_sb s3prl-sb
"""
FISH = """\
# s3prl-sb completion fish > ~/.config/fish/completions/s3prl-sb.fish
function __s3prl_sb
    set -l before (commandline -opc)
    set -l now (commandline -ct)
    s3prl-sb completion words $before[2..-1] "$now" 2>/dev/null
end
complete -c s3prl-sb -a '(__s3prl_sb)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("shell", choices=SCRIPTS)


def main(arguments):
    """Prints the script of a shell."""
    print(SCRIPTS[arguments.shell], end="")


def candidates(words, parser):
    """Lists the completions of the last word.

    Arguments
    ---------
    words : list of str
        Command line without the program; the last word may be empty.
    parser : argparse.ArgumentParser
        Parser of all verbs.

    Returns
    -------
    list of str
        If it is empty, the shell completes files.
    """
    words = list(words) or [""]
    *before, now = words
    candidates = _candidates(before, now, _verbs(parser))
    return [word for word in candidates if word.startswith(now)]


def _candidates(before, now, verbs):
    if not before:
        return list(verbs)
    verb, *rest = before
    last = rest[-1] if rest else ""
    if verb not in verbs:
        return []
    actions = verbs[verb]._actions
    if verb in ("run", "layers"):
        is_value = len(rest) > 1 and last.startswith("--") and not now.startswith("-")
        if now.startswith("-") and rest and verb == "layers":
            own = [option for a in actions for option in a.option_strings]
            return [*own, *_of_recipe(rest, now)]
        return _of_key(rest[0], last[2:]) if is_value else _of_recipe(rest, now)
    if verb == "units" and rest:  # whose options belong to its actions
        return _candidates(rest, now, actions[1].choices)
    if now.startswith("-"):
        return [option for a in actions for option in a.option_strings]
    options = [(i, word) for i, word in enumerate(rest) if word.startswith("-")]
    place, option = options[-1] if options else (0, None)
    for action in actions:
        takes = action.nargs in ("+", "*") or (action.nargs != 0 and option == last)
        if option in action.option_strings and takes:
            before = rest[place + 1 :]
            named = [w for w in rest if w in suites.names() or w.endswith(".yaml")]
            values = _of_option(verb, action, named)
            return [v for v in values if v not in before]
    if verb == "bench" and option is None:
        return [name for name in suites.names() if name not in rest]
    if not rest and verb in ("toy", "download"):
        return TOYS if verb == "toy" else downloads.names()
    if verb in ("completion", "new", "units"):
        return [] if rest else list(actions[1].choices)
    return upstreams() if verb in ("check", "convert", "upstreams") else []


def _of_option(verb, action, named):
    """Lists the values of an option of a verb; a flag has none. ``named`` are the
    suites of a benchmark."""
    if "--upstream" in action.option_strings:
        return upstreams()
    if verb in ("bench", "superb") and action.dest in ("tasks", "budget"):
        block = {"tasks": "tasks", "budget": "budgets"}[action.dest]
        of = suites.SUPERB if verb == "superb" else named
        found = [name for suite in of for name in suites.names_in(block, suite)]
        groups = ["all", "sg"] if verb == "superb" else ["all"]
        more = groups if action.dest == "tasks" else ["full"]
        return list(dict.fromkeys([*found, *more]))
    return [str(choice) for choice in action.choices or ()]


def _of_key(recipe, key):
    """Lists the values of a key of a recipe: names, or the choices of its declaration.
    Any value may follow a key without them."""
    if key == "upstream":
        return upstreams()
    from s3prl_sb.commands.run import locate
    from s3prl_sb.errors import UserError
    from s3prl_sb.schema.declarations import shared
    from s3prl_sb.startup import named

    try:
        texts = _texts(locate(recipe)[1])
    except UserError:
        return []
    labels = next(filter(None, map(LABELS.search, texts)), None)
    declaration = shared().get(key)
    choices = declaration.choices if declaration else ()
    return named.names(key, labels and labels[1]) or list(map(str, choices))


def _of_recipe(rest, now):
    if not rest:
        if now.startswith("-"):
            return ["--list", "--help"]
        names = list(resources.recipe_files())
        short = [name.rpartition("/")[2] for name in names if "/" in name]
        return [*names, *short, *(name.lower() for name in short if now == now.lower())]
    if not now.startswith("-"):
        return []
    from s3prl_sb.commands.run import locate
    from s3prl_sb.errors import UserError

    try:
        _, file = locate(rest[0])
    except UserError:
        return list(OF_EVERY_RECIPE)
    names = keys(file)
    if "." in now:
        from s3prl_sb.schema.declarations import shared

        key = now[2:].partition(".")[0]
        inside = shared()[key].inside if key in names and key in shared() else ()
        return [f"--{key}.{entry}" for entry in inside]
    return [*(f"--{key}" for key in names), *OF_EVERY_RECIPE]


def keys(file):
    """Lists the keys of a recipe without parsing its YAML.

    Arguments
    ---------
    file : pathlib.Path
        YAML file of the recipe.

    Returns
    -------
    list of str

    Example
    -------
    >>> "total_steps" in keys(resources.recipe_files()["SUPERB/KS"])
    True
    """
    return list(dict.fromkeys(key for t in _texts(file) for key in KEY.findall(t)))


def _texts(file):
    """Returns the text of a recipe, those of the recipes that it varies before it, the
    first of them first, and those of its defaults after it."""
    from s3prl_sb.schema.defaults import default_files

    text = file.read_text("utf-8")
    names = DEFAULTS.findall(text)
    files = default_files(names[0].split(", "), beside=file) if names else []
    varied = [path for path in reversed(files) if path.parent == file.parent]
    others = [path.read_text("utf-8") for path in files if path not in varied]
    return [*(path.read_text("utf-8") for path in varied), text, *others]


def upstreams():
    """Lists the names of all published cards.

    Returns
    -------
    list of str

    Example
    -------
    >>> "hubert_base" in upstreams()
    True
    """
    folder = resources.folder("hparams") / "upstreams"
    texts = (path.read_text("utf-8") for path in sorted(folder.glob("*.yaml")))
    return sorted({name for text in texts for name in KEY.findall(text)})


def _verbs(parser):
    """Returns the parsers of the verbs."""
    return next(a.choices for a in parser._actions if isinstance(a.choices, dict))
