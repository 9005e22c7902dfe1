"""Shows that S3PRL 0.4.18 reads the checkpoints of ``s3prl-sb convert --layout s3prl``.

    python tests/parity/s3prl_reads.py write FOLDER              # with this project
    s3prl-env/bin/python tests/parity/s3prl_reads.py read FOLDER # with S3PRL

The first writes random networks of all families, with our hidden states of three
utterances. The second loads each file by S3PRL's ``*_local`` function and prints the
largest difference of the hidden states, relative to the largest value of each.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

import torch

WAVEFORM = {
    "hidden_size": 48,
    "ffn_size": 96,
    "num_layers": 3,
    "num_heads": 4,
    "conv_layers": [[32, 10, 5], *[[32, 3, 2]] * 4, *[[32, 2, 2]] * 2],
}
LARGE = {"norm_first": True, "conv_norm": "layer", "conv_bias": True}
FEATURES = {"transformer": {"hidden_size": 48, "num_hidden_layers": 3}}
PRE_NORM = {"transformer": {**FEATURES["transformer"], "pre_layer_norm": True}}
#: Names to S3PRL's function, our class and its configuration.
FAMILIES = {
    "apc": ("apc", "apc.Apc", {"hidden_size": 32}),
    "vq_apc": ("apc", "apc.Apc", {"hidden_size": 32, "codebook_size": [16]}),
    "npc": ("npc", "npc.Npc", {"hidden_size": 32}),
    "mockingjay": ("mockingjay", "mockingjay.Mockingjay", FEATURES),
    "mockingjay_prenorm": ("mockingjay", "mockingjay.Mockingjay", PRE_NORM),
    "tera": ("tera", "mockingjay.Tera", FEATURES),
    "audio_albert": ("audio_albert", "mockingjay.AudioAlbert", FEATURES),
    "distiller": ("distiller", "distilhubert.DistilHubert", WAVEFORM),
    "hubert": ("hubert", "hubert.Hubert", WAVEFORM),
    "hubert_large": ("hubert", "hubert.Hubert", {**WAVEFORM, **LARGE}),
    "wav2vec2": ("wav2vec2", "wav2vec2.Wav2Vec2", WAVEFORM),
    "wav2vec2_large": ("wav2vec2", "wav2vec2.Wav2Vec2", {**WAVEFORM, **LARGE}),
}


def write(folder):
    """Writes a checkpoint and our hidden states of every family."""
    from pkgutil import resolve_name

    from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights
    from s3prl_sb.lobes.s3prl_writing.writing import s3prl_state

    random = torch.Generator().manual_seed(0)
    wavs = [0.1 * torch.randn(n, generator=random) for n in (24000, 17000, 9000)]
    torch.save(wavs, folder / "wavs.pt")
    for name, (_, path, config) in FAMILIES.items():
        kind = resolve_name(f"s3prl_sb.lobes.upstreams.{path}")
        upstream = kind(config=config, seed=1)
        if config in (FEATURES, PRE_NORM):  # positions would drown the features
            for weight in upstream.network.parameters():
                weight.requires_grad_(False).mul_(3)
        torch.save(
            s3prl_state(upstream, HeadWeights(random=True)), folder / f"{name}.pt"
        )
        states = [upstream(wav[None])[0] for wav in wavs]
        states = [[state[0] for state in utterance] for utterance in states]
        torch.save(states, folder / f"{name}.states.pt")


def read(folder):
    """Prints the differences of S3PRL's hidden states."""
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here.parents[1] / "benchmarks"))
    import importlib

    import peer_stand_ins  # noqa: F401
    import s3prl

    print(f"s3prl {s3prl.__version__}, torch {torch.__version__}")
    wavs = torch.load(folder / "wavs.pt")
    for name, (function, _, _) in FAMILIES.items():
        module = importlib.import_module(f"s3prl.upstream.{function}.hubconf")
        upstream = getattr(module, f"{function}_local")(
            str(folder / f"{name}.pt")
        ).eval()
        worst, ours = 0.0, torch.load(folder / f"{name}.states.pt")
        with torch.no_grad():
            theirs = [upstream([wav])["hidden_states"] for wav in wavs]
        for one, other in zip(ours, theirs, strict=True):
            for a, b in zip(one, other, strict=True):
                assert a.shape == b[0].shape, (name, a.shape, b.shape)
                error = (a - b[0]).abs().max() / b.abs().max()
                worst = max(worst, error.item())
        print(f"{function}_local({name}.pt): {len(ours[0])} hidden states, {worst:.1e}")


if __name__ == "__main__":
    action, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    {"write": write, "read": read}[action](place)
