"""Makes the fixtures of SpidR and DinoSR, with the authors' code, in an environment of
its own.

    pip install torch numpy
    git clone https://github.com/facebookresearch/spidr
    python tests/parity/make_spidr.py spidr

For a small model of each it writes the state dict (the teacher's aside, which has the
names of the student's) and the outputs of the layers and of their feed-forwards, for
utterances of unequal lengths, each alone, to ``tests/parity/fixtures/spidr.npz``.
"""

import sys
from pathlib import Path

import numpy
import torch

OUT = Path(__file__).parent / "fixtures" / "spidr.npz"
SAMPLES = (8000, 5000, 12345)
OPTIONS = {
    "extractor_conv_layer_config": [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2],
    "encoder_embed_dim": 32,
    "encoder_num_layers": 2,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 48,
    "codebook_size": 8,
    "num_codebooks": 2,
}


def main(clone):
    """Writes the fixtures."""
    sys.path.insert(0, str(Path(clone, "src")))
    from spidr.config import DinoSRConfig, SpidRConfig
    from spidr.models.dinosr import DinoSR
    from spidr.models.spidr import SpidR

    torch.manual_seed(0)
    wavs = [0.3 * torch.randn(samples) + 0.1 for samples in SAMPLES]
    arrays = {f"wav/{i}": wav.numpy() for i, wav in enumerate(wavs)}
    for name, model in (
        ("spidr", SpidR(SpidRConfig(**OPTIONS))),
        ("dinosr", DinoSR(DinoSRConfig(**OPTIONS, encoder_qkv_bias=True))),
    ):
        model.eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        for key, tensor in model.state_dict().items():
            if not key.startswith("teacher."):
                arrays[f"{name}/state/{key}"] = tensor.numpy()
        for i, wav in enumerate(wavs):
            normed = torch.nn.functional.layer_norm(wav, wav.shape)
            with torch.no_grad():
                x = model.feature_extractor(normed[None])
                x = model.feature_projection(x)
                for kind, before in (("layers", False), ("ffn", True)):
                    states = model.student.get_intermediate_outputs(
                        x, before_residual=before
                    )
                    for layer, state in enumerate(states):
                        arrays[f"{name}/{kind}/{i}/{layer}"] = state[0].numpy()
    numpy.savez_compressed(OUT, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
