"""Makes the fixture of XEUS, with ESPnet, in an environment of its own.

    pip install torch "espnet==202511"
    python tests/parity/make_xeus.py

It builds a small model of ESPnet's classes and writes its whole state dict (with the
weights of pre-training, which a checkpoint has) and the hidden states of utterances of
unequal lengths, each alone, to ``tests/parity/fixtures/xeus.npz``.
"""

from pathlib import Path

import numpy
import torch

OUT = Path(__file__).parent / "fixtures" / "xeus.npz"
CONVOLUTIONS = [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2]
ENCODER = {
    "output_size": 32,
    "attention_heads": 8,
    "attention_layer_type": "selfattn",
    "pos_enc_layer_type": "conv",
    "rel_pos_type": "latest",
    "cgmlp_linear_units": 24,
    "cgmlp_conv_kernel": 7,
    "num_blocks": 2,
    "use_ffn": True,
    "macaron_ffn": True,
    "ffn_activation_type": "swish",
    "linear_units": 40,
    "input_layer": None,
    "merge_conv_kernel": 9,
}
SAMPLES = (8000, 5000, 12345)


def build():
    """Returns ESPnet's model with random weights, none of which is at its start."""
    from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
    from espnet2.asr.frontend.cnn import CNNFrontend
    from espnet2.asr.preencoder.linear import LinearProjection
    from espnet2.ssl.espnet_model import ESPnetSSLModel
    from espnet2.ssl.loss.hubert import HuBERTLoss
    from espnet2.ssl.utils.mask import Masking

    torch.manual_seed(0)
    model = ESPnetSSLModel(
        frontend=CNNFrontend(
            "layer_norm", "standard", True, CONVOLUTIONS, normalize_audio=True
        ),
        specaug=None,
        normalize=None,
        preencoder=LinearProjection(16, 32),
        encoder=EBranchformerEncoder(input_size=32, **ENCODER),
        losses=[HuBERTLoss(32, num_classes=11, final_dim=8)],
        util_attributes={"mask"},
        required_inputs={"encoder_output"},
        util_modules=torch.nn.ModuleDict({"mask": Masking(32)}),
        token_list=["a"],
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def main():
    """Writes the fixture."""
    model = build()
    # The positional kernel of 128 has no option: a quarter of a million numbers.
    arrays = {f"state/{n}": t.numpy() for n, t in model.state_dict().items()}
    for i, samples in enumerate(SAMPLES):
        wav = 0.3 * torch.randn(1, samples) + 0.1
        with torch.no_grad():
            last, states, _ = model.inference_encode(wav, torch.tensor([samples]))
        arrays[f"wav/{i}"] = wav[0].numpy()
        for layer, state in enumerate([*states[:-1], last]):
            arrays[f"hidden/{i}/{layer}"] = state[0].numpy()
    numpy.savez_compressed(OUT, **arrays)


if __name__ == "__main__":
    main()
