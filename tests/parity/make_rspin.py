"""Makes the fixture of R-Spin, with the authors' code, in an environment of its own.

    pip install torch numpy
    git clone https://github.com/vectominist/rspin
    python tests/parity/make_rspin.py rspin

It writes the state dict of a small model and its hidden states for utterances of
unequal lengths, each alone, to ``tests/parity/fixtures/rspin.npz``.
"""

import sys
from pathlib import Path

import numpy
import torch

OUT = Path(__file__).parent / "fixtures" / "rspin.npz"
SAMPLES = (8000, 5000, 12345)
OPTIONS = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "num_buckets": 16,
}


def main(clone):
    """Writes the fixture."""
    sys.path.insert(0, clone)
    from rspin.model import RSpinWavlm, wavlm_base_config

    wavlm_base_config.update(OPTIONS)
    torch.manual_seed(0)
    model = RSpinWavlm({"codebook_dim": 8, "codebook_size": 5}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    arrays = {f"state/{n}": t.numpy() for n, t in model.state_dict().items()}
    for i, samples in enumerate(SAMPLES):
        wav = 0.3 * torch.randn(1, samples)
        with torch.no_grad():
            states, _, _ = model(wav)
        arrays[f"wav/{i}"] = wav[0].numpy()
        for layer, state in enumerate(states):
            arrays[f"hidden/{i}/{layer}"] = state[0].numpy()
    numpy.savez_compressed(OUT, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
