"""The arguments of objectives and of their parts: names and numbers."""

import functools
import importlib
import inspect
import math
import re
from collections import defaultdict

import pytest

from s3prl_sb import resources
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import Tera
from s3prl_sb.lobes.upstreams.npc import Npc

PACKAGE = resources.folder("recipes").parent / "s3prl_sb"
FOLDERS = {
    "objectives": "s3prl_sb.objectives",
    "lobes/pretext": "s3prl_sb.lobes.pretext",
}
FRAMES = {"hidden_size": 16, "n_blocks": 1, "codebook_size": None}
WAVEFORM = {
    "hidden_size": 16,
    "ffn_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "conv_layers": [[8, 10, 5], [8, 8, 64]],
}
SMALL = {"transformer": {"hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16}}  # fmt: skip
#: Arguments without a default, by class; all others of a class have their default.
NEEDED = {
    "APC": lambda: {"network": Apc(config={"hidden_size": 16}, freeze=False)},
    "NPC": lambda: {"network": Npc(config=FRAMES, freeze=False)},
    "BestRq": lambda: {"network": Tera(config=SMALL, freeze=False)},
    "MaskedReconstruction": lambda: {
        "network": Tera(config=SMALL, freeze=False),
        "alterations": [],
    },
    "HubertObjective": lambda: {"network": Hubert(config=WAVEFORM, freeze=False)},
    "Wav2Vec2Objective": lambda: {"network": Hubert(config=WAVEFORM, freeze=False)},
    "Distillation": lambda: {
        "network": Hubert(config=WAVEFORM, freeze=False),
        "teacher": Hubert(config=WAVEFORM),
        "targets": [1],
    },
    "GumbelQuantizer": lambda: {"input_size": 8},
    "RandomProjectionQuantizer": lambda: {"input_size": 8},
    "SpecHead": lambda: {"input_size": 8, "output_size": 4},
}
#: Classes whose numbers come from the batch or belong to a base class.
ELSEWHERE = {"Draws", "Objective", "Reconstruction"}
#: Words that begin the description of an argument, and its name.
NAMES = {
    "Weight": r"\w+_weight",
    "Size": r"(\w+_)?size",
    "Seed": r"(\w+_)?seed",
    "Probability": r"probability|zeroed|replaced",
    "Share": "share",
    "Dropout": r"dropout(_\w+)?",
    "Divisor of the cosines": "logit_temperature",
    "Temperature": "temperature",
    "Standard deviation": r"(\w+_)?std",
    "Number of frames of a span": "length",
    "Frames of a span": "length",
    "Number of codewords": "entries",
}
ENTRY = re.compile(r"^    (\w[\w, ]*) : (.+)\n((?:        .*\n|\n)+)", re.M)


def classes():
    for folder, home in FOLDERS.items():
        for path in sorted((PACKAGE / folder).glob("[!_]*.py")):
            module = importlib.import_module(f"{home}.{path.stem}")
            for name, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__ and not name.startswith("_"):
                    yield name, kind


CLASSES = dict(classes())


def described(kind):
    """Names of documented arguments to the beginning of their description."""
    text = (inspect.getdoc(kind) or "").replace("\n", "\n    ") + "\n"
    for names, _, words in ENTRY.findall(f"    {text}"):
        for name in names.split(", "):
            yield name, " ".join(words.split())


def numbers_of():
    """Pairs of a class and an argument that is a number, or a list of them."""
    for name, kind in CLASSES.items():
        if name in ELSEWHERE or "__init__" not in vars(kind):
            continue
        for argument, parameter in inspect.signature(kind).parameters.items():
            annotation = str(parameter.annotation)
            if re.search(r"\b(int|float)\b", annotation) and "Call" not in annotation:
                yield pytest.param(kind, parameter, id=f"{name}.{argument}")


@functools.cache
def needed(name):
    return NEEDED.get(name, dict)()


@pytest.mark.parametrize("kind, parameter", numbers_of())
def test_nonsense_is_refused_in_words(kind, parameter):
    """Whatever the argument stands for: it is named, and never fails later."""
    values = [-1, math.nan, math.inf, "many", True]
    if "float" not in str(parameter.annotation):
        values.append(1.5)
    for value in values:
        is_pair = "Sequence" in str(parameter.annotation)
        value = [value, value] if is_pair else value
        with pytest.raises(ValueError, match=rf"\b{parameter.name}\b"):
            kind(**{**needed(kind.__name__), parameter.name: value})


def objects_of():
    """Pairs of a class and an argument that is an object, or a list of them."""
    for name, kind in CLASSES.items():
        if name in ELSEWHERE or "__init__" not in vars(kind):
            continue
        for argument, parameter in inspect.signature(kind).parameters.items():
            annotation = str(parameter.annotation)
            is_plain = re.search(r"\b(int|float|str|bool)\b", annotation)
            if argument != "self" and (not is_plain or "Callable" in annotation):
                yield pytest.param(kind, parameter, id=f"{name}.{argument}")


@pytest.mark.parametrize("kind, parameter", objects_of())
def test_other_things_than_objects_are_refused_in_words(kind, parameter):
    for value in (3, "many", True, [3], {"a": 3}, object(), int, len):
        with pytest.raises(ValueError, match=rf"\b{parameter.name}\b"):
            kind(**{**needed(kind.__name__), parameter.name: value})


def test_every_argument_that_is_an_object_is_tried():
    found = {param.id.partition(".")[2] for param in objects_of()}
    assert found == {"network", "mask", "alterations", "target", "teacher"}


@pytest.mark.parametrize(
    "name, argument, value",
    [
        ("Distillation", "targets", 3),
        ("Wav2Vec2Objective", "mask", lambda frames, random: [True] * frames),
        ("Wav2Vec2Objective", "num_negatives", 0),
        ("Wav2Vec2Objective", "entries", 1),
        ("Wav2Vec2Objective", "groups", 0),
        ("Wav2Vec2Objective", "final_size", 0),
        ("Wav2Vec2Objective", "logit_temperature", 0),
        ("Wav2Vec2Objective", "temperature", [0.5, 0.0]),
        ("Wav2Vec2Objective", "temperature", [0.5, 2.0]),
        ("Wav2Vec2Objective", "temperature", [0.5]),
        ("Wav2Vec2Objective", "temperature", 0.5),
        ("Wav2Vec2Objective", "temperature_decay", 1.1),
        ("Wav2Vec2Objective", "temperature_decay", 0),
        ("Wav2Vec2Objective", "dropout_features", 1.5),
        ("BestRq", "entries", 0),
        ("BestRq", "entries", 1),
        ("BestRq", "code_size", 0),
        ("HubertObjective", "final_size", 0),
        ("HubertObjective", "logit_temperature", 0),
        ("MaskedReconstruction", "head_size", 0),
        ("APC", "n_future", 0),
        ("NPC", "temperature", 0),
        ("SpanMask", "share", 1.5),
        ("SpanMask", "length", 0),
        ("BernoulliSpanMask", "probability", 1.5),
        ("BernoulliSpanMask", "length", 0),
        ("GumbelQuantizer", "entries", 1),
        ("RandomProjectionQuantizer", "entries", 1),
    ],
)
def test_numbers_with_which_nothing_is_learned(name, argument, value):
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        CLASSES[name](**{**needed(name), argument: value})


def test_every_class_with_numbers_can_be_made():
    for name, kind in CLASSES.items():
        if name not in ELSEWHERE and any(p.values[0] is kind for p in numbers_of()):
            kind(**needed(name))


@pytest.mark.parametrize("name", CLASSES)
def test_names_say_what_arguments_are(name):
    """The first words of a description determine the name, in all classes alike."""
    for argument, words in described(CLASSES[name]):
        for start, names in NAMES.items():
            if re.match(rf"{start}s?\b", words):
                assert re.fullmatch(names, argument), f"{argument}: {words}"


def test_one_description_is_of_one_name():
    names = defaultdict(set)
    for kind in CLASSES.values():
        for argument, words in described(kind):
            names[words].add(argument)
    assert len(names) > 40
    twice = {words: found for words, found in names.items() if len(found) > 1}
    # Two weights, codebooks or lengths are described together.
    assert not {w: f for w, f in twice.items() if not re.search(r"\band\b|two", w)}
