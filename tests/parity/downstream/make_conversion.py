"""Makes fixtures/conversion.safetensors from S3PRL, in its environment (see make.py).

    PYTHONPATH=benchmarks s3prl-env/bin/python \\
        tests/parity/downstream/make_conversion.py S3PRL

S3PRL is a checkout of its repository: its wheel lacks a2a-vc-vctk. The fixture has
features and targets, and the spectrograms, losses and gradients of S3PRL's own networks
of voice conversion for them, at small sizes. Dropout is off: it is random.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
import torch
from safetensors.torch import save_file

sys.modules["h5py"] = ModuleType("h5py")  # of S3PRL's cache of statistics, not needed
MELS, HIDDEN, SIZE, BATCH, FRAMES, SPEAKER = 5, 8, 6, 2, 23, 3
# Defaults of S3PRL's encoder, but for the size of the convolutions, which is 512 there.
ENCODER = (1, 512, 3, 4, 5, True, False, 0.5)
STATS = SimpleNamespace(
    mean_=np.linspace(-4, -2, MELS), scale_=np.linspace(0.5, 1.5, MELS)
)
NETWORKS = {  # name: folder of S3PRL, arguments, mel frames in a frame
    "taco2_ar": ("a2o-vc-vcc2020", {"ar": True, "encoder_type": "taco2"}, 1.875),
    "simple_ar": ("a2o-vc-vcc2020", {"ar": True, "encoder_type": "ffn"}, 0.9375),
    "simple": ("a2o-vc-vcc2020", {"ar": False, "encoder_type": "ffn"}, 0.9375),
    "any_to_any": ("a2a-vc-vctk", {"ar": True, "encoder_type": "taco2"}, 1.875),
}
tensors = {}
for name, (folder, arguments, ratio) in NETWORKS.items():
    file = Path(sys.argv[1]) / "s3prl/downstream" / folder / "model.py"
    spec = importlib.util.spec_from_file_location(name, file)
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    expert = importlib.import_module("s3prl.downstream.a2o-vc-vcc2020.expert")
    code.Taco2Encoder.__init__.__defaults__ = ENCODER
    torch.manual_seed(0)
    options = {
        "input_dim": SIZE,
        "output_dim": MELS,
        "resample_ratio": ratio,
        "stats": STATS,
        "hidden_dim": HIDDEN,
        "lstmp_layers": 2,
        "lstmp_dropout_rate": 0.2,
        "lstmp_proj_dim": 256,
        "lstmp_layernorm": name == "simple_ar",
        "prenet_layers": 2 if "taco2" in arguments["encoder_type"] else 0,
        "prenet_dim": 7,
        "prenet_dropout_rate": 0.0,
        **arguments,
    }
    speakers = ()
    if name == "any_to_any":
        options.update(spk_emb_integration_type="concat", spk_emb_dim=SPEAKER)
        speakers = (torch.randn(BATCH, SPEAKER),)
        tensors[f"{name}/speakers"] = speakers[0]
    network = code.Model(**options)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    features = torch.randn(BATCH, FRAMES, SIZE)
    lens = torch.IntTensor([FRAMES] * BATCH)
    length = int(FRAMES * ratio) + 2  # longer than what is predicted
    targets = torch.randn(BATCH, length, MELS) - 3
    predicted, frames = network(features, lens, *speakers, targets)
    target_lens = torch.tensor([length] * BATCH)
    loss = expert.Loss(STATS)(predicted, targets, frames.int(), target_lens, "cpu")
    loss.backward()
    gradients = {k: p.grad for k, p in network.named_parameters() if p.grad is not None}
    statistics = {k: v for k, v in network.state_dict().items() if "running" in k}
    network.eval()
    with torch.no_grad():
        alone = [each[:1] for each in speakers]
        free, _ = network(features[:1], lens[:1], *alone)
    tensors |= {
        f"{name}/features": features,
        f"{name}/targets": targets,
        f"{name}/predicted": predicted.detach(),
        f"{name}/loss": loss.detach(),
        f"{name}/free": free,
        **{f"{name}/weight/{k}": v for k, v in weights.items()},
        **{f"{name}/gradient/{k}": v for k, v in gradients.items()},
        **{f"{name}/after/{k}": v for k, v in statistics.items()},
    }
tensors = {k: v.contiguous().clone() for k, v in tensors.items()}
save_file(tensors, Path(__file__).parent / "fixtures/conversion.safetensors")
