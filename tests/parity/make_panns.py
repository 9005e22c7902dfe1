"""Makes the fixtures of PANNs with the network of the package panns-inference.

In an environment with ``panns_inference`` and ``torchlibrosa``, neither of which the
tests need::

    python tests/parity/make_panns.py tests/parity/fixtures/panns

The channels are few; everything else, front end included, is theirs.
"""

import pathlib
import sys

import numpy
import torch
from panns_inference import models

CHANNELS = [4, 4, 8, 8, 16, 24]
SETTINGS = {32000: (1024, 320, 14000), 16000: (512, 160, 8000)}
SECONDS = (0.31, 0.71, 1.33)  # one frame, the least; two; four


def random_network(kind, rate):
    """Returns a small network of theirs with random weights and statistics."""
    n_fft, hop, highest = SETTINGS[rate]
    network = kind(rate, n_fft, hop, 64, 50, highest, 5)
    for i, (inputs, outputs) in enumerate(zip([1, *CHANNELS], CHANNELS), start=1):
        setattr(network, f"conv_block{i}", models.ConvBlock(inputs, outputs))
    network.fc1 = torch.nn.Linear(CHANNELS[-1], CHANNELS[-1])
    network.fc_audioset = torch.nn.Linear(CHANNELS[-1], 5)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")) and "extractor" not in name:
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    network.bn0.running_mean.fill_(-30)
    network.bn0.running_var.fill_(400)
    return network.eval()


def frames_and_embedding(network, wav):
    """Returns the inputs of the pooling over time and the embedding, [frames, size]."""
    kept = {}
    hooks = [
        network.conv_block6.register_forward_hook(
            lambda module, args, output: kept.update(frames=output.mean(3)[0].T)
        ),
        network.fc1.register_forward_hook(
            lambda module, args, output: kept.update(embedding=output.relu().clone())
        ),
    ]
    with torch.no_grad():
        network(wav[None])
    for hook in hooks:
        hook.remove()
    return kept["frames"].clone(), kept["embedding"].reshape(-1, CHANNELS[-1])


def main(folder):
    torch.manual_seed(0)
    for kind, rate in (
        (models.Cnn14, 32000),
        (models.Cnn14, 16000),
        (models.Cnn14_DecisionLevelMax, 32000),
    ):
        network = random_network(kind, rate)
        arrays = {
            f"weights/{name}": tensor
            for name, tensor in network.state_dict().items()
            if not name.startswith("spectrogram_extractor.")
        }
        for i, seconds in enumerate(SECONDS):
            wav = 20 * torch.randn(int(seconds * rate))
            wav[: len(wav) // 2] *= 0.1
            arrays[f"wavs/{i}"] = wav.to(torch.int8)  # small files
            outputs = frames_and_embedding(network, arrays[f"wavs/{i}"] / 256)
            arrays[f"frames/{i}"], arrays[f"embeddings/{i}"] = outputs
        numpy.savez_compressed(
            folder / f"{kind.__name__}_{rate}.npz",
            **{name: tensor.numpy() for name, tensor in arrays.items()},
        )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
