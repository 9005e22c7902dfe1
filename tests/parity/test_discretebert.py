"""DiscreteBERT: Hugging Face's RoBERTa over naive tokens, and checkpoints."""

import argparse
import dataclasses
import json

import pytest
import torch
from naive_wav2vec import COUNT, extracted, searched, vq_model
from safetensors.torch import save_file
from tensors import close, noise

from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.discretebert import DiscreteBert

SIZE, LAYERS, POSITIONS = 24, 2, 30
#: Lines of the dictionary: not all combinations, in an order of their own.
WORDS = [f"{a}-{b}" for b in range(COUNT) for a in reversed(range(COUNT))][:70]
WORDS.insert(5, "madeupword0000")
TOKENS = 4 + len(WORDS) + 1  # <s>, <pad>, </s>, <unk>; <mask>
SMALL = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "num_tokens": 60,
    "codes": {"vq_vars": 8, "conv_feature_layers": [[16, 10, 5], [16, 8, 32]]},
}


def roberta_checkpoint(**options):
    """Random weights in S3PRL's layout of RoBERTa."""
    prefix = "encoder.sentence_encoder."
    shapes = {
        "embed_tokens.weight": (TOKENS, SIZE),
        "embed_positions.weight": (POSITIONS + 2, SIZE),
        "layernorm_embedding.weight": (SIZE,),
        "layernorm_embedding.bias": (SIZE,),
    }
    for i in range(LAYERS):
        linear = {f"self_attn.{p}_proj": (SIZE, SIZE) for p in ("q", "k", "v", "out")}
        linear.update(fc1=(2 * SIZE, SIZE), fc2=(SIZE, 2 * SIZE))
        for name, shape in linear.items():
            shapes[f"layers.{i}.{name}.weight"] = shape
            shapes[f"layers.{i}.{name}.bias"] = shape[:1]
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes[f"layers.{i}.{name}.weight"] = (SIZE,)
            shapes[f"layers.{i}.{name}.bias"] = (SIZE,)
    weights = {
        prefix + name: 3 * noise(*shape, seed=i) + ("norm.weight" in name)
        for i, (name, shape) in enumerate(shapes.items())
    }
    weights[prefix + "version"] = torch.tensor([3.0])
    weights["encoder.lm_head.bias"] = noise(TOKENS)
    weights["encoder.lm_head.dense.weight"] = noise(SIZE, SIZE)
    model = argparse.Namespace(
        encoder_layers=LAYERS,
        encoder_embed_dim=SIZE,
        encoder_ffn_embed_dim=2 * SIZE,
        encoder_attention_heads=4,
        activation_fn="gelu",
        max_positions=POSITIONS,
        **options,
    )
    return {
        "task_cfg": {"data": "/x"},
        "model_cfg": model,
        "model_weight": weights,
        "text_dictionary": "".join(f"{word} 7\n" for word in WORDS),
    }


@pytest.fixture
def folder(tmp_path):
    """Both checkpoints."""
    model, weights = vq_model("kmeans")
    content = {"task_cfg": {}, "model_cfg": model, "model_weight": weights}
    torch.save(content, tmp_path / "codes.pt")
    torch.save(roberta_checkpoint(), tmp_path / "roberta.pt")
    return tmp_path


def huggingface(checkpoint, tokens):
    """Hidden states [tokens, size] of Hugging Face's RoBERTa."""
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=TOKENS,
        hidden_size=SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=2 * SIZE,
        max_position_embeddings=POSITIONS + 2,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
    )
    network = RobertaModel(config, add_pooling_layer=False).eval()
    names = {
        "embed_tokens": "embeddings.word_embeddings",
        "embed_positions": "embeddings.position_embeddings",
        "layernorm_embedding": "embeddings.LayerNorm",
        "layers.": "encoder.layer.",
        "self_attn_layer_norm": "attention.output.LayerNorm",
        "self_attn.q_proj": "attention.self.query",
        "self_attn.k_proj": "attention.self.key",
        "self_attn.v_proj": "attention.self.value",
        "self_attn.out_proj": "attention.output.dense",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
        "final_layer_norm": "output.LayerNorm",
    }
    weights = {"embeddings.token_type_embeddings.weight": torch.zeros(1, SIZE)}
    for name, tensor in checkpoint["model_weight"].items():
        if "sentence_encoder" in name and not name.endswith("version"):
            name = name.removeprefix("encoder.sentence_encoder.")
            for theirs, ours in names.items():
                name = name.replace(theirs, ours)
            weights[name] = tensor
    missing = network.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert all("ids" in name for name in missing.missing_keys)
    with torch.no_grad():
        pieces = [
            network(piece[None], output_hidden_states=True).hidden_states
            for piece in tokens.split(POSITIONS)
        ]
    return [torch.cat([state[0] for state in states]) for states in zip(*pieces)]


def test_tokens_and_states(folder):
    """Also of utterances that are longer than there are positions."""
    upstream = DiscreteBert(folder / "roberta.pt", folder / "codes.pt")
    checkpoint, (model, weights) = roberta_checkpoint(), vq_model("kmeans")
    lengths = (8000, 4800, 12000)
    wavs, lens = noise(3, 12000, seed=3), torch.tensor(lengths) / 12000
    states, frame_lens = upstream(wavs, lens)
    frames = (frame_lens * states[0].shape[1]).round().int().tolist()
    unknown = 0
    for wav, length, count, *rows in zip(wavs, lengths, frames, *states):
        x = extracted(wav[:length], model, weights)
        codes, _ = searched(x, model, weights)
        words = ["-".join(map(str, frame)) for frame in codes.tolist()]
        tokens = [4 + WORDS.index(word) if word in WORDS else 3 for word in words]
        unknown += tokens.count(3)
        tokens = torch.tensor([0, *tokens, 2])
        assert len(tokens) == count == upstream.frames(length)
        expected = huggingface(checkpoint, tokens)
        assert len(expected) == len(rows) == upstream.num_layers
        for row, state in zip(rows, expected):
            close(row[:count], state)
    assert max(frames) > 2 * POSITIONS and unknown  # or nothing of that was tested


def test_layouts(folder, tmp_path):
    """A folder with both, fairseq's old names, and our own format."""
    sources = [(folder / "roberta.pt", folder / "codes.pt"), (folder, None)]
    old = roberta_checkpoint()
    weights = {}
    for name, tensor in old["model_weight"].items():
        if "q_proj" in name:
            parts = [name.replace("q_proj", f"{p}_proj") for p in "qkv"]
            name = name.replace("q_proj.", "in_proj_")
            tensor = torch.cat([old["model_weight"][part] for part in parts])
        elif "k_proj" in name or "v_proj" in name:
            continue
        name = name.replace("encoder.sentence", "decoder.sentence")
        name = name.replace("encoder.lm_head", "decoder.lm_head")
        weights[name.replace("layernorm_embedding", "emb_layer_norm")] = tensor
    old["model_weight"] = weights
    torch.save(old, tmp_path / "old.ckpt")
    sources.append((tmp_path / "old.ckpt", folder / "codes.pt"))
    first = DiscreteBert(*sources[0])
    metadata = json.dumps(
        {"class": "DiscreteBert", "config": dataclasses.asdict(first.config)}
    )
    path = tmp_path / "ours.safetensors"
    save_file(first.network.state_dict(), path, {CONVERTED: metadata})
    sources.append((path, None))
    states = first(noise(1, 4000))[0]
    for source, codes in sources[1:]:
        again = DiscreteBert(source, codes)(noise(1, 4000))[0]
        assert all(torch.equal(a, b) for a, b in zip(states, again))


def test_half_precision_keeps_the_codes():
    full = DiscreteBert(config=SMALL)
    for precision in ("bf16", "fp16"):
        half = DiscreteBert(config=SMALL, precision=precision)
        tokens = [u.network.tokenized(noise(8000)) for u in (full, half)]
        assert torch.equal(*tokens) and len(tokens[0].unique()) > 5


def test_codes_are_not_trained():
    upstream = DiscreteBert(config=SMALL, freeze=False)
    upstream(noise(1, 4000))[0][-1].sum().backward()
    trained = {n for n, p in upstream.network.named_parameters() if p.grad is not None}
    named = dict(upstream.network.named_parameters())
    assert trained == {name for name in named if not name.startswith("coder.")}


def test_adapters_are_of_the_transformer_alone():
    options = {"freeze": False, "adapter": {"kind": "lora", "rank": 2}}
    upstream = DiscreteBert(config=SMALL, **options)
    trained = {n for n, p in upstream.named_parameters() if p.requires_grad}
    assert len(trained) == 8  # two matrices for query and value of two layers
    assert all(name.startswith("network.layers.") for name in trained)


def test_no_source_needs_no_codes():
    upstream = DiscreteBert(codes="https://example.org/nowhere.pt", config=SMALL)
    assert upstream.num_layers == 3


def test_other_checkpoints_are_refused(folder, tmp_path):
    codes = folder / "codes.pt"
    with pytest.raises(CheckpointError, match="RoBERTa.*model_cfg, model_weight, task"):
        DiscreteBert(codes, codes)
    with pytest.raises(CheckpointError, match="RoBERTa alone.*`codes`"):
        DiscreteBert(folder / "roberta.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of wav2vec"):
        DiscreteBert(folder / "roberta.pt", folder / "roberta.pt")
    torch.save(roberta_checkpoint(), folder / "second.pt")
    with pytest.raises(CheckpointError, match="holds 2 and 1"):
        DiscreteBert(folder)
    path = tmp_path / "other.ckpt"
    torch.save(roberta_checkpoint(encoder_normalize_before=True), path)
    with pytest.raises(CheckpointError, match="encoder_normalize_before: True"):
        DiscreteBert(path, codes)
    for text, match in (
        (f"1-{COUNT} 7\n", f"'1-{COUNT}'.*2 at a time, below {COUNT}"),
        ("1-2-3 7\n", "'1-2-3'"),
        ("1-2 7\n" * TOKENS, f"not of its {TOKENS} tokens"),
    ):
        torch.save({**roberta_checkpoint(), "text_dictionary": text}, path)
        with pytest.raises(CheckpointError, match=match):
            DiscreteBert(path, codes)
    checkpoint = roberta_checkpoint()
    del checkpoint["model_weight"]["encoder.sentence_encoder.layers.1.fc2.bias"]
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="missing.*layers.1.contract.bias"):
        DiscreteBert(path, codes)


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match="layers.*Known: hidden_size"):
        DiscreteBert(config={"layers": 3})
    with pytest.raises(ValueError, match="count.*Known: .*vq_vars"):
        DiscreteBert(config={"codes": {"count": 3}})
