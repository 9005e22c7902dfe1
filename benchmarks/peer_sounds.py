"""The worker that runs models of sound which S3PRL lacks, in S3PRL's environment.

Started by ``extraction.py`` instead of ``peer_s3prl.py``: BEATs of SpeechBrain; for
ATST-Frame the vision Transformer of timm, over the spectrogram of torchaudio.

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch
import torchaudio
from measure import measure, resident, serve

#: Layers, size, feed-forward, heads.
SIZES = {
    "tiny": (3, 64, 256, 1),
    "base": (12, 768, 3072, 12),
    "large": (24, 1024, 4096, 16),
}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CHUNK = 1000  # frames of the spectrogram that ATST-Frame sees at once
loaded = {}


def beats_checkpoint(path, size):
    """Writes a random checkpoint of BEATs in its authors' format."""
    from speechbrain.lobes.models.beats import BEATs

    class Unloaded(BEATs):
        def load_state_dict(self, weights):
            """Keeps the random weights."""

    layers, hidden, ffn, heads = SIZES[size]
    config = {
        "input_patch_size": 16,
        "encoder_layers": layers,
        "encoder_embed_dim": hidden,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": heads,
        "deep_norm": True,
        "relative_position_embedding": True,
        "max_distance": 800,
        "gru_rel_pos": True,
    }
    torch.save({"cfg": config, "model": None}, path)
    torch.save({"cfg": config, "model": Unloaded(path).state_dict()}, path)


def beats(path, dtype):
    """Returns the version and a function from a batch to its hidden states."""
    import speechbrain
    from speechbrain.lobes.models.beats import BEATs

    model = BEATs(path, freeze=True, output_all_hiddens=True).to(dtype)
    spectrogram = model.preprocess  # in fp32, as torchaudio asks
    model.preprocess = lambda *args: spectrogram(*args).to(dtype)

    def run(batch, lengths):
        states = model(batch, lengths / batch.shape[1])[0]
        return [state.transpose(0, 1) for state in states]

    return f"speechbrain {speechbrain.__version__}", run


def atst_checkpoint(path, size):
    """Writes a random checkpoint of ATST-Frame in its authors' format."""
    weights = vision_transformer(*SIZES[size]).state_dict()
    linear = "patch_embed.patch_embed"
    weights[f"{linear}.weight"] = weights.pop("patch_embed.proj.weight").flatten(1)
    weights[f"{linear}.bias"] = weights.pop("patch_embed.proj.bias")
    positions = weights["pos_embed"]  # the first one belongs to no patch
    weights["pos_embed"] = torch.cat([positions[:, :1], positions], dim=1)
    for part in ("weight", "bias"):
        weights[f"norm_frame.{part}"] = weights.pop(f"norm.{part}")
    weights = {f"model.teacher.encoder.{name}": t for name, t in weights.items()}
    torch.save({"state_dict": weights, "size": size}, path)


def vision_transformer(layers, size, ffn, heads):
    """Returns timm's network with the options of ATST-Frame."""
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=(64, CHUNK // 4 * 4),
        patch_size=(64, 4),
        in_chans=1,
        num_classes=0,
        global_pool="",
        class_token=False,
        embed_dim=size,
        depth=layers,
        num_heads=heads,
        mlp_ratio=ffn / size,
        qkv_bias=False,
    )
    model.patch_embed.strict_img_size = False  # shorter chunks, too
    return model


def atst_frame(path, dtype):
    """Returns the version and a function from a batch to its hidden states."""
    import timm

    content = torch.load(path)
    model = vision_transformer(*SIZES[content["size"]])
    names = {"patch_embed.patch_embed": "patch_embed.proj", "norm_frame": "norm"}
    weights = {}
    for name, tensor in content["state_dict"].items():
        name = name.removeprefix("model.teacher.encoder.")
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        weights[name] = tensor
    shape = model.patch_embed.proj.weight.shape
    weights["patch_embed.proj.weight"] = weights["patch_embed.proj.weight"].view(shape)
    weights["pos_embed"] = weights["pos_embed"][:, 1:]
    model.load_state_dict(weights)
    model.to(dtype).eval()
    bands = {"f_min": 60.0, "f_max": 7800.0, "n_mels": 64}
    mel = torchaudio.transforms.MelSpectrogram(16000, 1024, hop_length=160, **bands)
    decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80)

    def run(batch, lengths):
        x = decibels(mel(batch))
        x = (x + 79.6482) / (50.6842 + 79.6482) * 2 - 1
        states = []
        for chunk in x[:, None].to(dtype).split(CHUNK, dim=3):
            chunk = model.patch_embed(chunk[..., : chunk.shape[3] // 4 * 4])
            chunk = chunk + model.pos_embed[:, : chunk.shape[1]]
            states.append([chunk])
            for block in model.blocks:
                chunk = block(chunk)
                states[-1].append(model.norm(chunk))
        return [torch.cat(layer, dim=1) for layer in zip(*states)]

    return f"timm {timm.__version__}, torchaudio {torchaudio.__version__}", run


#: Families to what writes a checkpoint, what loads it, and the patches at one time.
FAMILIES = {
    "beats": (beats_checkpoint, beats, 8),
    "atst_frame": (atst_checkpoint, atst_frame, 1),
}


def make(folder, size, family):
    """Writes a random checkpoint in the authors' format; returns its path."""
    torch.manual_seed(0)
    path = os.path.join(folder, f"{family}.pt")
    FAMILIES[family][0](path, size)
    return path


@torch.no_grad()
def load(checkpoint, family, precision="fp32"):
    """Loads it; returns the versions."""
    _, build, bands = FAMILIES[family]
    version, run = build(checkpoint, TYPES[precision])
    loaded.update(run=run, bands=bands)
    run(torch.randn(1, 16000), torch.tensor([16000]))  # one-time costs
    loaded["baseline"] = resident()
    return f"{version}, torch {torch.__version__}"


@torch.no_grad()
def extract(wavs, alone, save=None, compare=None):
    """Hidden states of a batch, padded or each utterance alone."""
    wavs = torch.load(wavs)

    def run():
        states = []
        for group in [[wav] for wav in wavs] if alone else [wavs]:
            batch = torch.nn.utils.rnn.pad_sequence(group, batch_first=True)
            lengths = torch.tensor([len(wav) for wav in group])
            states.append(loaded["run"](batch, lengths))  # held, as ours are
        return states

    states, cost = measure(run, loaded["baseline"])
    if save or compare:
        states = [frames(group, i) for group in states for i in range(len(group[0]))]
    if save:
        torch.save(states, save)
    if compare:
        cost["error"] = max(
            ((a[: len(b)] - b).abs().max() / b.abs().max()).item()
            for utterance, reference in zip(states, torch.load(compare), strict=True)
            for a, b in zip(utterance, reference, strict=True)
        )
    return cost


def frames(states, index):
    """Returns the hidden states of one utterance, patches at one time side by side."""
    layers = (state[index].float() for state in states)
    return [s.unflatten(0, (-1, loaded["bands"])).flatten(1).clone() for s in layers]


if __name__ == "__main__":
    serve({"make": make, "load": load, "extract": extract})
