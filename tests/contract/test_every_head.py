"""Every named head, pooling and encoder, and SUPERB's own keep the contract."""

import functools
from pkgutil import resolve_name

import pytest

from s3prl_sb import resources
from s3prl_sb.lobes.heads.check import check_head
from s3prl_sb.lobes.heads.composed import FrameHead, UtteranceHead
from s3prl_sb.schema.keys import Schema
from s3prl_sb.schema.named_heads import KINDS, encoders, named_heads, poolings

#: Sizes that make a head fast to check; a new one is checked with its own.
SMALL = {
    "linear": {"hidden_size": 8},
    "mlp": {"hidden_size": 8},
    "hear_mlp": {"hidden_size": 8},
    "concat": {"window": 5},
    "conv_bank": {"hidden_size": 8, "cnn_size": 6},
    "rnn": {"hidden_size": 8},
    "transformer": {"hidden_size": 8},
    "conformer": {"hidden_size": 8},
    "xvector": {"hidden_size": 8, "pooled_size": 10, "embedding_size": 8},
    "ecapa": {"channels": [16, 16, 16, 16, 24], "attention_channels": 8},
    "last_state": {"hidden_size": 8},
    "blstm": {"projection_size": 8, "hidden_size": 8},
    **dict.fromkeys(("taco2_ar", "simple_ar", "simple"), {"hidden_size": 8}),
}
#: Kinds of heads to those of the check: a spectrogram is a vector for each frame.
CHECKED = {"spectra": "frames"}
NAMED = [(name, kind) for name, head in named_heads().items() for kind in head.kinds]


@pytest.mark.parametrize("name, kind", NAMED)
def test_named_heads(name, kind):
    head = named_heads()[name]
    cls = resolve_name(getattr(head, kind))
    arguments = {**head.arguments, **SMALL.get(name, {})}
    check_head(functools.partial(cls, **arguments), CHECKED.get(kind, kind))


@pytest.mark.parametrize("encoder", encoders())
@pytest.mark.parametrize("pooling", poolings())
def test_compositions(encoder, pooling):
    parts = {"encoder": encoder, "pooling": pooling, **SMALL[encoder]}
    lines = check_head(functools.partial(UtteranceHead, **parts), "utterances")
    linear = (encoder, pooling) == ("linear", "mean")
    assert ("linear: declared, and it is" in lines) is linear


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrent_variants(cell, bidirectional):
    options = {"cell": cell, "bidirectional": bidirectional, "dropout": 0.2}
    make = functools.partial(FrameHead, encoder="rnn", hidden_size=8, **options)
    check_head(make, "frames")


@pytest.mark.parametrize("recipe", resources.recipes())
def test_heads_of_recipes(recipe):
    """Each recipe's own head, on the side of its labels, in a small size."""
    tree = Schema.of_recipe(recipe).tree
    labels = (tree.get("__labels") or {}).get("are")
    if labels not in KINDS:  # nothing is trained, or by a network of its own
        assert "head" not in tree or labels in ("texts", "scenes")
        return
    cls = resolve_name(tree["head"].tag.value.removeprefix("!name:"))
    small = {"hidden_size": 8, "projection_size": 8, "pooled_size": 10}
    small = {key: value for key, value in small.items() if key in tree["head"]}
    sizes = {"num_classes", "num_speakers", "output_size", "num_mels"}
    [size] = sizes & set(cls.__init__.__annotations__)

    def make(input_size, outputs):
        return cls(input_size, **{size: outputs}, **small)

    classes = 1 if labels == "values" else 5  # one value an utterance
    kind = CHECKED.get(KINDS[labels], KINDS[labels])
    check_head(make, kind, num_classes=classes)
