"""Cards: found by name or file, merged with overrides, accepted by their classes."""

import dataclasses
import inspect
import pydoc
import re
import sys
from pathlib import Path

import pytest
import torch

from s3prl_sb.brains.pretrained_card import write_card
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards import finding
from s3prl_sb.lobes.networks.transformer import TransformerConfig
from s3prl_sb.lobes.upstreams import UnknownUpstream, card, load, names, title
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.features import KaldiFeatures, StftFeatures
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2

KALDI = "!new:s3prl_sb.lobes.upstreams.features.KaldiFeatures"
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 1, num_heads: 2,
             conv_layers: [[8, 10, 5], [8, 8, 64]], position_groups: 2}
"""
SEVERAL = f"""
_shared: &shared
    feature: mfcc
    deltas: 1
one: {KALDI}
    <<: *shared
two: {KALDI}
    <<: *shared
    deltas: 2
"""


@pytest.fixture
def write(tmp_path):
    """``write(text)``: the path of a card file."""

    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


# ---------------------------------------------------------------- the published
@pytest.mark.parametrize("name", names())
def test_keys_are_accepted(name):
    node = card(name)
    cls = pydoc.locate(node.tag.value.removeprefix("!new:"))
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        load(name)  # it checks its options itself
    else:
        assert set(node) <= set(parameters)
    if issubclass(cls, Wav2Vec2):
        known = {field.name for field in dataclasses.fields(TransformerConfig)}
        TransformerConfig(**node.get("config", {}))
        assert set(node.get("config", {})) <= known
    if issubclass(cls, Mockingjay):
        for block, options in node.get("config", {}).items():
            assert block in cls.defaults
            if block != "audio":  # that of Kaldi has other keys
                assert set(options) <= set(cls.defaults[block])
    sources = node.get("source") or []
    for source in sources if isinstance(sources, list) else [sources]:
        of_a_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", source)
        of_a_file = not source.startswith("https://") and finding.WEIGHTS.search(source)
        assert (of_a_hub or source.startswith("https://")) and not of_a_file


def test_names():
    assert names() == sorted(names()) and len(set(names())) == len(names())
    assert not [name for name in names() if name.startswith("_")]
    assert {"hubert", "tera", "fbank", "wav2vec2", "mockingjay"} <= set(names())
    assert names("hubert_l*") == ["hubert_large_ll60k"] and names("nothing*") == []


@pytest.mark.parametrize(
    "alias, name",
    [("hubert", "hubert_base"), ("tera", "tera_960hr"), ("baseline", "fbank")],
)
def test_aliases(alias, name):
    assert (
        dict(card(alias)) == dict(card(name))
        and card(alias).tag.value == card(name).tag.value
    )


@pytest.mark.parametrize(
    "name, near",
    [
        ("hubert_bse", "hubert_base"),
        ("fbnk", "fbank"),
        ("xlsr53", "xlsr_53"),
        ("HuBERT", "hubert"),
    ],
)
def test_near_matches(name, near):
    with pytest.raises(
        UnknownUpstream, match=rf"Unknown upstream '{name}'. Did you mean .*{near}"
    ):
        card(name)


def test_nothing_near():
    with pytest.raises(
        UnknownUpstream, match="'qqqqqq'. All of them: `s3prl-sb upstreams`"
    ):
        load("qqqqqq")


# -------------------------------------------------------------- one's own files
def test_one_entry(write):
    upstream = load(write(TINY))
    assert (
        isinstance(upstream, Hubert) and upstream.output_size == 16 and upstream.freeze
    )


def test_several_entries(write):
    path = write(SEVERAL)
    assert [load(f"{path}:{entry}").deltas for entry in ("one", "two")] == [1, 2]
    with pytest.raises(
        UnknownUpstream, match="holds 2 cards. Choose one: .*:one, .*:two"
    ):
        load(path)
    with pytest.raises(UnknownUpstream, match="no card 'three'. It has: one, two"):
        load(f"{path}:three")
    with pytest.raises(UnknownUpstream):
        load(f"{path}:_shared")


def test_a_tag_without_arguments(write):
    assert load(write(f"mine: {KALDI}\n")).feature == "fbank"


def test_positional_arguments_are_not_dropped(write):
    """They count, or they are refused."""
    try:
        upstream = load(write(f"mine: {KALDI} [mfcc, 1]\n"))
    except UnknownUpstream:
        return
    assert (upstream.feature, upstream.deltas) == ("mfcc", 1)


def test_a_module_beside_the_card(write, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    write(
        "from s3prl_sb.lobes.upstreams.features import KaldiFeatures\n"
        "class Mine(KaldiFeatures):\n"
        "    def __init__(self, scale, extra=None, **kwargs):\n"
        "        super().__init__('fbank', **kwargs)\n"
        "        self.scale, self.extra = scale, extra\n",
        "beside_the_card.py",
    )
    text = "mine: !new:beside_the_card.Mine\n    scale: 3\n"
    upstream = load(write(text), deltas=0)
    assert type(upstream).__name__ == "Mine" and (upstream.scale, upstream.deltas) == (
        3,
        0,
    )
    nested = (
        text + "    extra: !new:torch.nn.Linear {in_features: 2, out_features: 3}\n"
    )
    assert load(write(nested)).extra.out_features == 3
    nested = text + "    extra: !new:torch.nn.Linear [2, 3]\n"
    assert load(write(nested)).extra.out_features == 3
    assert "beside_the_card" not in sys.modules


@pytest.mark.parametrize(
    "text, message",
    [
        ("mine: 3\n", "'mine' in .*mine.yaml' is not a !new: node"),
        ("mine: {source: x}\n", "is not a !new: node"),
        (f"mine: {KALDI.replace('new', 'name')}\n", "is not a !new: node"),
        ("mine: [\n", "is not valid YAML"),
        ("", "holds no cards"),
        ("- a\n- b\n", "mine.yaml"),
    ],
)
def test_bad_files(text, message, write):
    with pytest.raises(UnknownUpstream, match=message):
        load(write(text))


STFT = "!new:s3prl_sb.lobes.upstreams.features.StftFeatures"


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    "arguments, line, words",
    [
        ("feature: mel\n  hop: 3", 4, "takes no 'hop'. Did you mean hop_ms?"),
        ("feature: mel\n  freeze: maybe", 4, "freeze is True or False, not 'maybe'."),
        ("feature: mel\n  freeze: [no]", 4, "freeze is True or False, not"),
        ("feature: mel\n  freeze:", 4, "freeze is True or False, not None."),
        ("feature: mel\n  cmvn: ja", 4, "cmvn is True or False, not 'ja'."),
        ("feature: melodic", 2, "Unknown feature: melodic. Known: mel"),
        ("feature: mel\n  n_mels: abc", 2, "bands are numbers, not 'abc'"),
        ("feature: mel\n  adapter: lora", 4, "takes no 'adapter'"),
        ("feature: mel\n  feature: mel", None, 'line 4: found duplicate key "feature"'),
    ],
)
def test_what_cannot_be_built_says_where(arguments, line, words, trust, write):
    path = write(f"# mine\nmine: {STFT}\n  {arguments}\n")
    with pytest.raises(UserError) as error:
        load(path, trust=trust)
    place = f"'{path}', line {line}: mine: " if line else f"'{path}' is not valid YAML"
    assert str(error.value).startswith(place) and words in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_upstream(write):
    path = write("mine: !new:torch.nn.Linear {in_features: 3, out_features: 3}\n")
    with pytest.raises(UserError, match="line 1: mine: torch.nn.Linear is no upstream"):
        load(path, trust=True)
    with pytest.raises(UnknownUpstream, match="give its arguments by name"):
        load(write(f"mine: {STFT} mel\n"), trust=True)


def test_what_cards_refer_to_is_no_card(write):
    path = write(f"size: 40\nmine: {STFT} {{feature: mel, n_mels: !ref <size>}}\n")
    assert load(path).output_size == load(path, trust=True).output_size == 40


def test_checkpoints_and_folders_of_runs_are_named_like_cards(write, tmp_path):
    """By every key: all of them load by this function."""
    network = Apc(config={"hidden_size": 16})
    run = tmp_path / "run" / "7"
    run.mkdir(parents=True)
    write_card(network, torch.nn.Module(), run, "apc", {})
    [file] = run.glob("apc-????????????.safetensors")
    for name in (run, run / "card.yaml", file):
        made = load(str(name), freeze=True)
        assert type(made) is Apc and made.output_size == 16 and made.freeze
    assert title(run) == title(run / "card.yaml") == "run_7"
    assert title(file) == file.stem
    with pytest.raises(ValueError, match=f"'{file}'.*Apc takes no 'wrong'"):
        load(str(file), wrong=3)
    (tmp_path / "fbank").write_text("")  # the name of a card is a card
    assert card("fbank").tag.value.endswith("KaldiFeatures")


@pytest.mark.parametrize("name", ["absent.yaml", "absent.yaml:entry", "absent.yml"])
def test_absent_files(name):
    with pytest.raises(UnknownUpstream, match=r"There is no card file 'absent.ya?ml'"):
        load(name)


def test_home(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(TINY)
    assert load("~/mine.yaml").output_size == 16


# -------------------------------------------------------------------- overrides
def test_overrides_are_merged(write):
    path = write(TINY)
    upstream = load(path, freeze=False, config={"num_layers": 2, "conv_norm": "layer"})
    assert not upstream.freeze and upstream.num_layers == 3
    assert upstream.config.hidden_size == 16 and upstream.config.conv_norm == "layer"
    replaced = load(path, config={"conv_layers": [[4, 10, 5]]})
    assert replaced.config.conv_layers == [[4, 10, 5]]  # a list as a whole
    assert load(path).num_layers == 2  # the card is as it was
    assert load(path, precision="bf16").precision == "bf16"


def test_overrides_of_what_the_card_leaves_out(write):
    assert load(write(f"mine: {KALDI}\n"), deltas=0, num_mel_bins=11).output_size == 11
    assert (
        isinstance(load("mel", n_mels=20), StftFeatures)
        and load("mel", n_mels=20).n_mels == 20
    )


def test_unknown_overrides():
    with pytest.raises((TypeError, ValueError), match="n_mells"):
        load("mel", n_mells=20)
    with pytest.raises(ValueError, match="Unknown option of kaldi's fbank: n_mells"):
        load("fbank", n_mells=20)


def test_merge_keys_and_anchors():
    assert dict(card("xls_r_1b")["config"])["hidden_size"] == 1280
    assert dict(card("xls_r_1b")["config"])["conv_norm"] == "layer"
    assert dict(card("xls_r_300m")["config"])["hidden_size"] == 1024
    node = card("tera_logMelBase_T_F_AdamW_b32_1m_960hr_seq3k")
    assert node["config"]["task"]["sequence_length"] == 3000
    assert node["config"]["transformer"]["hidden_dropout_prob"] == 0.3


def test_a_card_equals_its_class():
    a, b = (
        load("mfcc"),
        KaldiFeatures("mfcc", num_ceps=13, frame_length=25.0, frame_shift=10.0),
    )
    assert a.arguments == b.arguments


# ------------------------------------------------------------------------- notes
def test_notes_are_no_cards(write):
    """A card with its facts and its test, in one file."""
    path = write(
        '_about:\n    "*": {paper: none}\n\n'
        f"{TINY}\n_test:\n"
        "    shrunk: &shrunk {config: {num_layers: 1}}\n    # a comment\n\n"
        "    kinds: {tiny: *shrunk}\n"
    )
    assert load(path).output_size == 16
    shrunk = {"config": {"num_layers": 1}}
    expected = {"shrunk": shrunk, "kinds": {"tiny": shrunk}}
    assert finding.notes(Path(path), "_test") == expected
    assert finding.notes(Path(path), "_about") == {"*": {"paper": "none"}}
    assert finding.notes(Path(path), "_hub") == {}


def test_published_cards_are_read_once(monkeypatch):
    """An override does not change what the next one gets."""
    card("hubert_large_ll60k", config={"num_layers": 1})
    monkeypatch.setattr(finding, "_cards", None)
    assert card("hubert_large_ll60k")["config"]["num_layers"] == 24
