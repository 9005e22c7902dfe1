"""Declarations allowed in a foreign file: classes, places and values."""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

from s3prl_sb.foreign import (
    FEATURIZER,
    HEAD,
    INTERFACE,
    PIPE,
    UPSTREAM,
    Document,
    KindError,
    NodeError,
    find_class,
    own_names,
)
from s3prl_sb.storage.yaml_texts import yaml_of

KINDS = {"upstream": UPSTREAM, "head": HEAD, "pipes": PIPE, "featurizer": FEATURIZER}
TEXT = """
rate: 16000
names:
    a: {c: [1, 2.5, null, yes, "no"]}
    b: !ref <names[a][c]>
folder: /somewhere
path: !ref <folder>/<rate>.txt
upstream: &up !new:s3prl_sb.lobes.upstreams.features.StftFeatures
    feature: mel
    n_mels: 12
featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer
    num_layers: !ref <upstream.num_layers>
    layers: all
head: !new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier
    input_size: !apply:getattr [*up, output_size]
    num_classes: 3
    pooling: !new:s3prl_sb.lobes.heads.pooling.MeanPooling
pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio {sample_rate: !ref <rate>}
    - !new:s3prl_sb.dataio.pipes.UnfoldChunks {seconds: 1.5}
modules: {upstream: !ref <upstream>, head: !ref <head>}
"""


def document(text):
    return Document(yaml_of(text), KINDS)


def test_built_as_by_hyperpyyaml():
    ours = document(TEXT)
    assert ours.foreign() == []
    expected = load_hyperpyyaml(TEXT)
    for key, value in expected.items():
        found = ours.build(key)
        if isinstance(value, torch.nn.Module):
            assert type(found) is type(value) and str(found) == str(value)
        elif key not in ("pipes", "modules"):
            assert found == value, key
    assert ours.build("upstream").arguments == expected["upstream"].arguments
    assert [vars(pipe) for pipe in ours.build("pipes")] == [
        vars(pipe) for pipe in expected["pipes"]
    ]
    modules = ours.build("modules")  # one object, however often it is named
    assert modules["head"] is ours.build("head")
    assert ours.build("head").projection.in_features == 12


WRONG = [
    ("upstream", "head", "!new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier {}"),
    ("head", "upstream", "!new:s3prl_sb.lobes.upstreams.features.StftFeatures {}"),
    ("featurizer", "head", "!new:s3prl_sb.lobes.heads.frames.FrameClassifier {}"),
    ("pipes", "featurizer", "[!new:s3prl_sb.lobes.featurizer.Featurizer {}]"),
    ("head", "torch", "!new:torch.nn.Linear {in_features: 1, out_features: 1}"),
    ("head", "path", "!new:s3prl_sb.lobes.heads.utterance.torch.nn.Linear {}"),
    ("rate", "plain", "!new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier {}"),
    ("pipes", "text", "[!new:s3prl_sb.dataio.pipes.EncodeCategory {key: a}]"),
    ("upstream", "base", "!new:s3prl_sb.lobes.upstreams.base.Upstream {}"),
    ("upstream", "list", "!new:s3prl_sb.lobes.upstreams.features.StftFeatures [mel]"),
    ("upstream", "text", "!new:s3prl_sb.lobes.upstreams.features.StftFeatures mel"),
    ("upstream", "inner", "!new:s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2\n"
     "    config: !new:s3prl_sb.lobes.heads.pooling.MeanPooling"),
    ("head", "deep", "!new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier\n"
     "    pooling: !new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier\n"
     "        pooling: !new:s3prl_sb.lobes.heads.pooling.MeanPooling"),
    ("rate", "getattr", "!apply:getattr [!ref <upstream>, forward]"),
    ("rate", "set", "!!set {a}"),
    ("rate", "key", "{[1, 2]: 3}"),
]  # fmt: skip


@pytest.mark.parametrize("key, what, node", WRONG)
def test_the_right_kind_in_the_right_place(key, what, node):
    wrong = document(f"{key}: {node}\n")
    try:
        assert wrong.foreign(), what
    except NodeError:
        pass
    if what not in ("set", "key"):  # which a dict or a tuple stands for
        with pytest.raises((NodeError, TypeError)):
            wrong.build(key)


@pytest.mark.parametrize(
    "reference, message",
    [
        ("<absent>", "there is only <rate>"),
        ("<upstream.__class__>", "there is only"),
        ("<upstream._buffers>", "there is only"),
        ("<upstream.forward>", "StftFeatures has no number 'forward'"),
        ("<upstream.parameters>", "no number"),
        ("<a>/<b>", "refers to itself"),
        ("<c[d]>", "refers to itself"),
        ("<c[e]>", "There is no <c.e.>"),
    ],
)
def test_references_that_go_nowhere(reference, message):
    text = "rate: 1\nupstream: !new:s3prl_sb.lobes.upstreams.features.StftFeatures\n"
    text += (
        f"    feature: mel\na: !ref {reference}\nb: !ref <a>\nc:\n    d: !ref <c[d]>\n"
    )
    with pytest.raises(NodeError, match=message):
        wrong = document(text)
        wrong.foreign()
        wrong.build("a")


def test_only_our_classes_are_looked_up():
    assert find_class("s3prl_sb.inference.classifier.Classifier", INTERFACE)
    assert find_class("s3prl_sb.inference.pretrained.SpeechModel", INTERFACE) is None
    assert find_class("s3prl_sb.inference.load", INTERFACE) is None
    assert find_class("speechbrain.inference.ASR.EncoderASR", INTERFACE) is None
    for name in ("", ".", "x", "s3prl_sb", "s3prl_sb.lobes.upstreams", "os.system"):
        assert find_class(name, UPSTREAM) is None
    with pytest.raises(KindError, match="no upstream 'Huber' in .*It has: .*Hubert"):
        find_class("s3prl_sb.lobes.upstreams.hubert.Huber", UPSTREAM)
    with pytest.raises(KindError, match="no pipe 'LoadAudi' in .*LoadAudio"):
        find_class("s3prl_sb.dataio.audio.LoadAudi", PIPE)


def test_names_in_tags():
    text = "a: !new:x.Y {b: [!name:z.f , !apply:getattr [1, b]]}\nc: !ref <a>\n"
    assert sorted(own_names(yaml_of(text))) == ["getattr", "x.Y", "z.f"]


def test_composed_heads_are_data():
    """Names of encoders and poolings are plain values: an export needs no trust."""
    text = """
head: !new:s3prl_sb.lobes.heads.composed.UtteranceHead
    input_size: 6
    num_classes: 3
    encoder: {name: rnn, cell: gru}
    pooling: attentive_statistics
    hidden_size: 4
"""
    ours = document(text)
    assert ours.foreign() == []
    assert str(ours.build("head")) == str(load_hyperpyyaml(text)["head"])
