"""The worker that runs models of sound which S3PRL lacks, in S3PRL's environment.

Started by ``extraction.py`` in the place of ``peer_s3prl.py``: BEATs of SpeechBrain.

Authors
 * The s3prl_sb developers, 2026
"""

import os

import torch
from measure import measure, resident, serve

#: Layers, size, feed-forward, heads.
SIZES = {
    "tiny": (3, 64, 256, 4),
    "base": (12, 768, 3072, 12),
    "large": (24, 1024, 4096, 16),
}
BANDS = 8  # patches of BEATs at one time
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
loaded = {}


def make(folder, size, family):
    """Writes a random checkpoint in the authors' format; returns its path."""
    from speechbrain.lobes.models.beats import BEATs

    class Unloaded(BEATs):
        def load_state_dict(self, weights):
            """Keeps the random weights."""

    torch.manual_seed(0)
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
    path = os.path.join(folder, f"{family}.pt")
    torch.save({"cfg": config, "model": None}, path)
    model = Unloaded(path)
    torch.save({"cfg": config, "model": model.state_dict()}, path)
    return path


def load(checkpoint, family, precision="fp32"):
    """Loads it; returns the version of the library."""
    import speechbrain
    from speechbrain.lobes.models.beats import BEATs

    model = BEATs(checkpoint, freeze=True, output_all_hiddens=True)
    model.to(TYPES[precision])
    spectrogram = model.preprocess  # in fp32, as torchaudio asks
    model.preprocess = lambda *args: spectrogram(*args).to(TYPES[precision])
    loaded["model"] = model
    model(torch.randn(1, 16000), torch.ones(1))  # one-time costs
    loaded["baseline"] = resident()
    return f"speechbrain {speechbrain.__version__}, torch {torch.__version__}"


def extract(wavs, alone, save=None, compare=None):
    """Hidden states of a batch, padded or each utterance alone."""
    wavs = torch.load(wavs)

    def run():
        states = []
        for group in [[wav] for wav in wavs] if alone else [wavs]:
            batch = torch.nn.utils.rnn.pad_sequence(group, batch_first=True)
            lengths = torch.tensor([len(wav) / batch.shape[1] for wav in group])
            states.append(loaded["model"](batch, lengths)[0])  # held, as ours are
        return states

    states, cost = measure(run, loaded["baseline"])
    if save or compare:  # [utterance][layer][frames, size], a frame of 8 patches
        states = [group[:, :, i] for group in states for i in range(group.shape[2])]
        states = [s.float().unflatten(1, (-1, BANDS)).flatten(2) for s in states]
    if save:
        torch.save([[layer.clone() for layer in each] for each in states], save)
    if compare:
        cost["error"] = max(
            ((a[: len(b)] - b).abs().max() / b.abs().max()).item()
            for ours, theirs in zip(states, torch.load(compare), strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
    return cost


if __name__ == "__main__":
    serve({"make": make, "load": load, "extract": extract})
