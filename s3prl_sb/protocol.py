"""What a run was given, and whether that is the protocol of the benchmark.

A recipe's defaults are the protocol. What its numbers are of stands in its YAML::

    __protocol:
        corpus: data_folder  # the key that says where the real corpus is
        utterances: {train: 28539, valid: 2703, test: 2620}

A run keeps to it if nothing that matters differs from the defaults and its sets are as
large as those of the real corpus. So toys, tables of one's own, few-shot subsets and
other splits are seen by what they are, not by what they are called.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.corpora.completeness import TOY
from s3prl_sb.experiment import plain
from s3prl_sb.files import read_yaml

PROTOCOL = "__protocol"
#: Copies of a corpus differ in a few files; subsets and toys differ in far more.
TOLERANCE = 0.01


def defaults(task):
    """A recipe as it is published, as JSON values.

    Arguments
    ---------
    task : str
        The name of a recipe.

    Returns
    -------
    dict
        Its keys, :data:`PROTOCOL` among them; empty where there is no such recipe.

    Example
    -------
    >>> defaults("SUPERB/KS")["total_steps"], defaults("mine")
    (200000, {})
    """
    folder = resources.recipes().get(task)
    return {} if folder is None else read(folder / "hparams" / "train.yaml")


def read(path):
    """A recipe's YAML as JSON values, references as they are written.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    dict
    """
    return plain(read_yaml(path, "a recipe", kind=dict))


def changed(recipe, published, card=None):
    """What a recipe was given that it does not say by itself.

    Arguments
    ---------
    recipe : dict
        Its keys with the overrides, as :func:`s3prl_sb.experiment.load_recipe` leaves
        them.
    published : dict
        From :func:`defaults`.
    card : dict, optional
        What the upstream's card says, as JSON values.

    Returns
    -------
    settings : dict
        Keys, those inside of others with a dot, to values that differ.
    before : dict
        The same keys to the values of ``published``; None for what it lacks.

    Example
    -------
    >>> changed({"lr": 0.1, "seed": 1}, {"lr": 0.2, "seed": 1})
    ({'lr': 0.1}, {'lr': 0.2})
    """
    published = dict(published)
    if isinstance(recipe.get("upstream_model"), dict) and card is not None:
        # The recipe has a reference here; the run has what the card makes of it.
        published["upstream_model"] = {"freeze": True, **card}
    settings, before = {}, {}
    for key, value, default in _differences(recipe, published):
        settings[key], before[key] = value, default
    if "freeze" in settings:  # the recipe passes it on
        settings.pop("upstream_model.freeze", None)
        before.pop("upstream_model.freeze", None)
    return settings, before


def _differences(now, before, prefix=""):
    """(name, value, default) of what differs, by the names of the command line."""
    for key in {**before, **now}:
        name, value, default = f"{prefix}{key}", now.get(key), before.get(key)
        if name.startswith("__"):
            continue
        if isinstance(value, dict) and (isinstance(default, dict) or not default):
            yield from _differences(value, default or {}, f"{name}.")
        elif value != default:
            yield name, value, default


def judged(task, settings, utterances):
    """Whether a run keeps to the protocol of its recipe.

    Arguments
    ---------
    task : str
        The name of the recipe.
    settings : dict
        From :func:`changed`.
    utterances : dict
        Sets to their sizes.

    Returns
    -------
    dict
        ``followed``, None for a recipe without a protocol; ``settings``, those that
        depart from it; ``corpus``, where the data are; ``data``, what tells them from
        the real corpus in words, or None; ``differs``, all of it in a few words each.

    Example
    -------
    >>> counts = {"train": 51094, "valid": 6798, "test": 3081}
    >>> settings = {"data_folder": "/corpora/speech_commands", "lr": 0.1}
    >>> judged("SUPERB/KS", settings, counts)["followed"]
    True
    >>> settings["total_steps"] = 20
    >>> judged("SUPERB/KS", settings, {**counts, "train": 9})["differs"]
    ['train 9 of 51094', 'total_steps 20']
    """
    published = defaults(task)
    protocol = published.get(PROTOCOL)
    departs = {key: value for key, value in settings.items() if matters(key)}
    found = {"followed": None, "settings": departs, "corpus": None, "data": None}
    if protocol:
        place = settings.get(protocol["corpus"], published.get(protocol["corpus"]))
        data = _data(protocol["utterances"], place, utterances)
        found.update(corpus=place, data=data, followed=not (data or departs))
    differs = [found["data"]] if found["data"] else []
    differs += [f"{key} {_short(value)}" for key, value in departs.items()]
    return {**found, "differs": differs}


def matters(key):
    """Whether a key is part of the protocol: not where things lie, nor how they run.

    Arguments
    ---------
    key : str
        Of a recipe; inside of another, with dots.

    Returns
    -------
    bool

    Example
    -------
    >>> matters("total_steps"), matters("cache_folder")
    (True, False)
    """
    from s3prl_sb.brains import settings

    outer, _, inner = key.partition(".")
    if outer == "total_steps" or key in ("test_split", "test_speakers", "lm_decoding"):
        return True
    if inner in settings.HARMLESS_INSIDE.get(outer, ()) and inner == "num_workers":
        return False
    return not (
        outer in ("seed", "upstream", "lr", *settings.HARMLESS)
        or outer.startswith(settings.HARMLESS_STARTS)
        or outer.endswith(settings.HARMLESS_ENDS)
    )


def _data(published, place, utterances):
    """What tells a run's data from the real corpus, in a few words, or None."""
    if place is None:
        return "own tables"
    parents = (Path(str(place)), Path(str(place)).parent)
    if any((folder / TOY).is_file() for folder in parents):
        return "toy data"
    for name, wanted in published.items():
        sets = [part.strip() for part in name.split("+")]
        count = sum(utterances.get(part, 0) for part in sets)
        if abs(count - wanted) > TOLERANCE * wanted:
            return f"{name} {count} of {wanted}"
    return None


def _short(value):
    text = "null" if value is None else str(value)
    return text if len(text) < 30 else f"{text[:29]}…"
