"""Every card keeps the contract, shrunk and with random weights where it is large.

A card file says under ``_test`` what the tests build:

- ``shrunk``: arguments that make its networks small, by patterns of names; if several
  patterns match, later ones win.
- ``kinds``: one card of each class, or more where other code runs. ``other``: arguments
  that change the features; ``dropout``: whether there is dropout (true); ``half``: the
  error that bf16 may have (0.03).
- ``parity``: fixtures of S3PRL, see ``tests/parity/oracle.py``.
"""

import copy
import functools
import pickle
import pydoc
import re

import pytest
import torch
from tensors import noise

from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.cards.finding import matching, notes, published, read_cards
from s3prl_sb.lobes.gradients import depths
from s3prl_sb.lobes.upstreams import card, card_file, load, names
from s3prl_sb.lobes.upstreams.base import AudioError, Upstream
from s3prl_sb.lobes.upstreams.wav2vec2 import SELECTIONS

#: Samples of the utterances of a batch: two are equal, one is as short as can be.
LENGTHS = (8000, 4960, 8000, 17040, 1)
#: Where these are but a few frames.
LONG = (16000, 4960, 16000, 34080, 1)
FAMILIES = {file: notes(file, "_test") for file in published()}
KINDS = {
    name: {"file": file, **(kind or {})}
    for file, entries in FAMILIES.items()
    for name, kind in entries.get("kinds", {}).items()
}


def merged(base, changes):
    """Nested dicts, the second over the first."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def shrunk(name):
    """The arguments that make a card small."""
    small = {}
    for changes in matching(FAMILIES[card_file(name)].get("shrunk", {}), name):
        small = merged(small, changes)
    return small


def build(name, **options):
    """The upstream of a card, small."""
    return load(name, **merged(shrunk(name), options))


@functools.cache
def built(name):
    """The same for all tests that only use it."""
    return build(name)


def module_of(name):
    """Returns the class and the arguments of a small card, as text."""
    node = card(name, **shrunk(name))
    return f"{node.tag.value} {sorted(plain(node).items())}"


#: One card of each small module: many cards differ in nothing but their source.
MODULES = sorted({module_of(name): name for name in reversed(names())}.values())


def every_card(function):
    return pytest.mark.parametrize("name", names())(function)


def every_module(function):
    return pytest.mark.parametrize("name", MODULES)(function)


def every_kind(function):
    return pytest.mark.parametrize("name", KINDS)(function)


def lengths(upstream):
    """Samples of the utterances of a batch for an upstream."""
    return LENGTHS if upstream.frames(max(LENGTHS)) >= 8 else LONG


def ragged(upstream):
    """A padded batch of them, with garbage in the padding; relative lengths."""
    samples = lengths(upstream)
    wavs = noise(len(samples) * max(samples)).view(len(samples), -1)
    return wavs, torch.tensor(samples) / max(samples)


def difference(states, others):
    """Relative to each state's largest value."""
    assert len(states) == len(others)
    return max(
        ((a - b).abs().max() / b.abs().max().clamp_min(1e-8)).item()
        for a, b in zip(states, others)
    )


# ----------------------------------------------------- every card, every module
@every_module
def test_contract(name):
    lines = check_upstream(built(name))
    assert {"bad audio: refused by name"} < set(lines)


@every_module
def test_frames(name):
    """Never fewer for longer audio, one at least, and a stride apart."""
    upstream = built(name)
    counts = [upstream.frames(n) for n in range(1, 5000, 37)]
    assert counts[0] >= 1 and counts == sorted(counts)
    stride = upstream.stride
    for samples in (16001, 17000, 23456):
        more = upstream.frames(samples + 7 * stride)
        assert more == upstream.frames(samples) + 7
    wav = noise(40000)[None]
    for samples in (upstream.min_samples, 5000, 5001, 5159, 40000):
        states, _ = upstream(wav[:, :samples])
        assert states[0].shape[1] == upstream.frames(samples)


@every_card
def test_recorded_arguments(name):
    """They say all that it takes to build it again."""
    node, upstream = card(name, **shrunk(name)), built(name)
    recorded = {**upstream.arguments, **upstream.arguments.get("options", {})}
    assert set(node) <= set(recorded)
    for key in set(node) - {"source", "config", "upstreams"}:
        assert recorded[key] == node[key]
    options = {**upstream.arguments}
    options.update(options.pop("options", {}))
    again = type(upstream)(**options)
    assert upstream_identity(again) == upstream_identity(upstream)


@every_module
def test_every_weight_has_a_depth(name):
    """Deeper layers are never lower, the front end is at the bottom."""
    upstream = build(name, freeze=False)
    before = torch.get_rng_state()
    found = depths(upstream)
    assert torch.equal(before, torch.get_rng_state()) and upstream.training
    trained = [n for n, p in upstream.named_parameters() if p.requires_grad]
    assert list(found) == trained
    lists = {}  # depths of the layers of a list of modules
    for weight, depth in found.items():
        for match in re.finditer(r"(?<=layers)\.(\d+)\.", weight):
            key = weight[: match.start()]
            lists.setdefault(key, {}).setdefault(int(match[1]), []).append(depth)
    for layers in lists.values():
        numbers = sorted(layers)
        for lower, upper in zip(numbers, numbers[1:]):
            assert max(layers[lower]) <= max(layers[upper])
            assert min(layers[lower]) <= min(layers[upper])


# -------------------------------------------------------------------- every kind
@every_kind
def test_round_trips(name):
    """state_dict, deepcopy and pickle give the same features again."""
    upstream, wavs = built(name), ragged(built(name))
    states, lens = upstream(*wavs)
    options = {"seed": 1} if "seed" in upstream.arguments else {}
    loaded = build(name, **options)
    loaded.load_state_dict(upstream.state_dict())
    copies = [loaded, copy.deepcopy(upstream), pickle.loads(pickle.dumps(upstream))]
    for other in copies:
        again, again_lens = other(*wavs)
        assert all(torch.equal(a, b) for a, b in zip(states, again))
        assert torch.equal(lens, again_lens)
        assert other.arguments.keys() == upstream.arguments.keys()
        assert not other.training


@every_kind
def test_the_default_type_of_torch_changes_nothing(name):
    """Neither what is built nor what is computed."""
    expected, wavs = built(name), ragged(built(name))
    states, lens = expected(*wavs)
    torch.set_default_dtype(torch.float64)
    try:
        for upstream in (expected, build(name)):
            if "seed" in upstream.arguments or upstream is expected:
                again, again_lens = upstream(*wavs)
                assert all(torch.equal(a, b) for a, b in zip(states, again))
                assert torch.equal(lens, again_lens)
            assert all(p.dtype != torch.float64 for p in upstream.parameters())
    finally:
        torch.set_default_dtype(torch.float32)


@every_kind
def test_shapes_and_lens(name):
    upstream = built(name)
    for wavs, lens in (ragged(upstream), (noise(32000).view(2, -1), None)):
        samples = [wavs.shape[1]] * len(wavs) if lens is None else lengths(upstream)
        frames = [upstream.frames(n) for n in samples]
        states, frame_lens = upstream(wavs, lens)
        shapes = [(len(wavs), max(frames), size) for size in upstream.output_sizes]
        assert len(states) == upstream.num_layers
        assert [tuple(state.shape) for state in states] == shapes
        assert {state.dtype for state in states} == {torch.float32}
        assert frame_lens.dtype == torch.float32
        assert (frame_lens * max(frames)).round().int().tolist() == frames
        for state in states:
            for row, count in zip(state, frames):
                assert not row[count:].any()  # zero after the end


@every_kind
def test_company(name):
    """Order, neighbours and padding change nothing; unfrozen neither."""
    wavs, lens = ragged(built(name))
    samples = lengths(built(name))
    for upstream in (built(name), build(name, freeze=False).eval()):
        frames = [upstream.frames(n) for n in samples]
        with torch.no_grad():
            states, _ = upstream(wavs, lens)
            turned, _ = upstream(wavs.flip(0), lens.flip(0))
            clean = wavs.clone()
            for row, n in zip(clean, samples):
                row[n:] = 0
            silent, _ = upstream(clean, lens)
            assert difference([s.flip(0) for s in turned], states) < 1e-5
            assert difference(silent, states) < 1e-5
            for i, n in enumerate(samples):
                alone, _ = upstream(wavs[i : i + 1, :n])
                together = [state[i : i + 1, : frames[i]] for state in states]
                assert difference(together, alone) < 1e-5


@every_kind
def test_extract_as_s3prl(name):
    upstream, samples = built(name), lengths(built(name))
    wavs = [noise(n, seed=n) for n in samples]
    found = upstream.extract(wavs)
    assert found.keys() == {"hidden_states", "last_hidden_state", "lens"}
    assert found["last_hidden_state"] is found["hidden_states"][-1]
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    states, lens = upstream(padded, torch.tensor(samples) / max(samples))
    assert all(torch.equal(a, b) for a, b in zip(states, found["hidden_states"]))
    assert torch.equal(lens, found["lens"])
    arrays = upstream.extract([wav.double().numpy() for wav in wavs])
    assert difference(arrays["hidden_states"], states) < 1e-6
    with pytest.raises(AudioError, match="utterance 1"):
        upstream.extract([noise(100), noise(0)])


@every_kind
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(name, precision):
    half, wavs = build(name, precision=precision), ragged(built(name))
    states, _ = half(*wavs)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert {state.dtype for state in states} == {dtype}
    expected, _ = built(name)(*wavs)
    for state, reference in zip(states, expected):
        error = (state.float() - reference).norm() / reference.norm()
        limit = KINDS[name].get("half", 0.03)
        assert error < (limit if precision == "bf16" else limit / 6)
    with pytest.raises(ValueError, match=f"--precision={precision}"):
        build(name, precision=precision, freeze=False)


@every_kind
def test_random_weights_are_a_function_of_the_seed(name):
    weights = built(name).state_dict()
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = build(name).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    if weights:
        other = build(name, seed=1).state_dict()
        assert any(not torch.equal(weights[key], other[key]) for key in weights)


@every_kind
def test_identity(name):
    def known(**options):
        return digest(upstream_identity(build(name, **options)))

    found = {known(), digest(upstream_identity(built(name)))}
    assert len(found) == 1
    found.add(known(precision="bf16"))
    found.add(known(**KINDS[name]["other"]))  # equal weights
    has_seed = "seed" in built(name).arguments
    if has_seed:
        found.add(known(seed=1))
    assert len(found) == 3 + has_seed


@every_kind
def test_frozen_and_unfrozen(name):
    frozen = build(name).train()
    wavs = ragged(frozen)
    assert not any(module.training for module in frozen.modules())
    assert not any(state.requires_grad for state in frozen(*wavs)[0])
    trained = build(name, freeze=False)
    assert trained.training
    if list(trained.parameters()):
        torch.manual_seed(0)
        first = trained(*wavs)[0][-1]
        assert first.requires_grad
        if KINDS[name].get("dropout", True):
            assert not torch.equal(first, trained(*wavs)[0][-1])
        assert difference(trained.eval()(*wavs)[0], frozen(*wavs)[0]) < 1e-5


# ---------------------------------------------------------------- other options
@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
@pytest.mark.parametrize("freeze", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_selections(selection, freeze, large):
    """The contract also holds with the options of a card."""
    name = "xlsr_53" if large else "wav2vec2"
    check_upstream(build(name, feature_selection=selection, freeze=freeze))


@pytest.mark.parametrize("name", ["wav2vec2", "xlsr_53", "tera"])
def test_unfrozen_cards(name):
    check_upstream(build(name, freeze=False))


def test_kinds_cover_every_class():
    files = {card(name).tag.value: card_file(name).name for name in names()}
    without = files.keys() - {card(name).tag.value for name in KINDS}
    assert not without, "name a card of the class under _test, kinds, in " + ", ".join(
        f"{files[tag]} ({tag.removeprefix('!new:')})" for tag in without
    )
    for tag in files:
        assert issubclass(pydoc.locate(tag.removeprefix("!new:")), Upstream)


def test_kinds_are_cards_of_their_file():
    for name, kind in KINDS.items():
        assert card_file(name) == kind["file"]
        assert "other" in kind, f"{kind['file'].name}: {name} lacks `other`, see above"


@pytest.mark.parametrize("file", FAMILIES, ids=lambda file: file.stem)
def test_notes(file):
    cards = read_cards(file)
    assert FAMILIES[file].keys() <= {"shrunk", "kinds", "parity"}
    for pattern in FAMILIES[file].get("shrunk", {}):
        assert any(matching({pattern: True}, name) for name in cards), pattern
