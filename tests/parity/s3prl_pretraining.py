"""Masks, losses and gradients of S3PRL 0.4.18's pre-training.

    PYTHONPATH=benchmarks .venv-s3prl/bin/python tests/parity/s3prl_pretraining.py

writes ``tests/parity/pretraining``, in the environment of S3PRL that ``make.py`` sets
up. S3PRL's own task functions and experts run on the checkpoints of ``fixtures``,
without dropout, and with the draws of codes that they make themselves. ``masks.npz``
has spectra before and after masking, and the random numbers that S3PRL drew; the files
named after a checkpoint have features, losses, and for each parameter the norm of its
gradient and the product of gradient and parameter.
"""

import random
import sys
from pathlib import Path

import numpy as np
import peer_stand_ins  # before anything of S3PRL
import s3prl
import torch

HERE = Path(__file__).resolve().parent
OUT = HERE / "pretraining"
sys.path.insert(0, str(Path(s3prl.__file__).parent))  # S3PRL's pretrain imports so
peer_stand_ins.module("utility.audio", plot_spectrogram_to_numpy=None)  # no plots
FRAMES = 45  # of two utterances of equal length; a third one is shorter
SHORT = 30


# ------------------------------------------------------------------------- masks
class Recorder:
    """Stands in for ``torch`` and ``random``, and keeps what they drew."""

    def __init__(self):
        self.drawn = []

    def __getattr__(self, name):
        original = getattr(torch, name, None) or getattr(random, name)
        if name not in ("randperm", "randint", "random"):
            return original

        def draw(*arguments):
            value = original(*arguments) if name == "randperm" else None
            value = getattr(random, name)(*arguments) if value is None else value
            self.drawn.append(np.asarray(value, np.float64).reshape(-1))
            return value

        return draw


def masked(task, function, config, spectra):
    """Returns S3PRL's masks of spectra, and the draws of each utterance."""
    spec, label, draws = [], [], []
    for spectrum in spectra:
        task.torch = task.random = recorder = Recorder()
        x = torch.from_numpy(spectrum.copy())[None]
        config = {"position_encoding_size": 4, **config}
        result = getattr(task, function)([x], config)
        task.torch, task.random = torch, random
        if not len(result[0]):  # S3PRL drops what has no label
            continue
        spec.append(result[0][0].numpy())
        label.append(result[2][0].numpy())
        lengths = [len(draw) for draw in recorder.drawn]
        draws.append((np.concatenate(recorder.drawn), lengths))
    return spec, label, draws


def masks():
    """Writes masks.npz."""
    import pretrain.mockingjay.task as mockingjay
    import pretrain.spec_augment.task as spec_augment

    rng = np.random.RandomState(3)
    spectra = [rng.randn(60, 8).astype(np.float32) for _ in range(12)]
    time = {"mask_proportion": 0.4, "mask_consecutive_min": 7}
    time |= {"mask_consecutive_max": 7, "mask_allow_overlap": True}
    time |= {"mask_bucket_ratio": 1.5, "mask_frequency": 0, "noise_proportion": 0}
    both = {**time, "mask_frequency": 0.4}
    apart = {**time, "mask_allow_overlap": False}
    long = {"mask_T": 20, "mask_F": 3, "num_T": 2, "num_F": 2, "p": 1.0}
    name = "generate_masked_acoustic_model_data"
    sets = {
        "time": (mockingjay, name, time),
        "both": (mockingjay, name, both),
        "apart": (mockingjay, name, apart),
        "long": (spec_augment, "generate_spec_aug_data", long),
    }
    arrays = {"spectra": np.stack(spectra)}
    random.seed(5)
    torch.manual_seed(5)
    for key, arguments in sets.items():
        spec, label, draws = masked(*arguments, spectra)
        assert len(spec) == len(spectra)
        arrays |= {f"{key}/spec": np.stack(spec), f"{key}/label": np.stack(label)}
        for i, (values, lengths) in enumerate(draws):
            arrays |= {f"{key}/draws{i}": values, f"{key}/lengths{i}": lengths}
    np.savez_compressed(OUT / "masks.npz", **arrays)


# ------------------------------------------------------------------------ losses
def bare(cls, **members):
    """An expert of S3PRL without its datasets."""
    expert = object.__new__(cls)
    torch.nn.Module.__init__(expert)
    for key, value in {"device": "cpu", **members}.items():
        setattr(expert, key, value)
    return expert


def checkpoint(name):
    """The content of a fixture's checkpoint."""
    path = HERE / "fixtures" / name / "ckpt.pt"
    return torch.load(path, map_location="cpu", weights_only=False)


def wavs():
    """The waveforms of the fixtures."""
    file = np.load(HERE / "fixtures" / "wavs.npz")
    return [torch.from_numpy(file[f"utt{i}"]) for i in (0, 1)]


def gradients(model):
    """For each parameter the norm of its gradient, and its product with it."""
    found = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.double()
        product = (gradient * parameter.detach().double()).sum()
        found[f"gradient/{name}"] = np.array([gradient.norm(), product])
    return found


def features():
    """Features of S3PRL, [3, frames, size]; the last utterance is padded."""
    from upstream.apc.audio import create_transform

    audio = checkpoint("apc")["config"]["data"]["audio"]
    extract, _ = create_transform(dict(audio))
    x = [extract(wav[None]) for wav in wavs()]
    pieces = [x[0][:FRAMES], x[1][:FRAMES], x[1][10 : 10 + SHORT]]
    return torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True)


def predictive(name, family):
    """Writes the losses of APC, VQ-APC or NPC."""
    if family == "npc":
        from pretrain.npc.pretrain_expert import UpstreamPretrainExpert as Expert
        from upstream.npc.npc import NPC as Network

        loss = torch.nn.L1Loss(reduction="none")
    else:
        from pretrain.apc.pretrain_expert import UpstreamPretrainExpert as Expert
        from upstream.apc.apc import APC as Network

        loss = torch.nn.L1Loss()
    content = checkpoint(name)
    model = Network(80, **content["config"]["model"]["paras"]).eval()
    model.load_state_dict(content["model"])
    expert = bare(Expert, model=model, n_future=5, loss=loss)
    x = features()
    torch.manual_seed(7)
    equal, _ = expert.forward((x[:2], [FRAMES] * 2), global_step=1)
    equal.backward()
    arrays = {"x": x.numpy(), "equal": equal.detach().numpy(), **gradients(model)}
    frames = FRAMES - (0 if family == "npc" else 5)
    torch.manual_seed(7)  # the same noise again
    for i, layer in enumerate(getattr(model, "vq_layers", [])):
        noise = torch.empty(2, frames, layer.codebook_size).exponential_().log()
        arrays[f"noise{i}"] = -noise.numpy()
    unequal, _ = expert.forward((x, [FRAMES, FRAMES, SHORT]), global_step=1)
    arrays["unequal"] = unequal.detach().numpy()
    if family == "npc":  # batch norms over the batch, still without dropout
        for module in model.train().modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        torch.manual_seed(7)
        trained, _ = expert.forward((x[:2], [FRAMES] * 2), global_step=1)
        arrays["trained"] = trained.detach().numpy()
        arrays["running_mean"] = model.blocks[3].bn2.running_mean.numpy()
        arrays["running_var"] = model.blocks[3].bn2.running_var.numpy()
    np.savez_compressed(OUT / f"{name}.npz", **arrays)


def reconstructive(name, size, target_size, loss):
    """Writes the losses of a Transformer."""
    from pretrain.mockingjay import pretrain_expert as mockingjay
    from pretrain.mockingjay.task import fast_position_encoding
    from upstream.mockingjay.model import TransformerConfig

    content = checkpoint(name)
    config = TransformerConfig(content["Upstream_Config"]["transformer"])
    config.loss = loss
    model = mockingjay.TransformerForMaskedAcousticModel(config, size, target_size)
    model.Transformer.load_state_dict(content["Transformer"])
    model.SpecHead.load_state_dict(content["SpecHead"])
    expert = bare(mockingjay.UpstreamPretrainExpert, model=model.eval())
    rng = np.random.RandomState(4)
    x = torch.from_numpy(rng.randn(2, FRAMES, size).astype(np.float32))
    target = x.clone()
    if target_size is not None:
        shape = (2, FRAMES, target_size)
        target = torch.from_numpy(rng.randn(*shape).astype(np.float32))
    label = torch.zeros(target.shape, dtype=torch.bool)
    label[0, 5:12], label[1, 20:34] = True, True
    x[0, 5:12], x[1, 20:34] = 0, 0
    x[1, SHORT:] = target[1, SHORT:] = 0  # padding
    label[1, SHORT:] = False
    attention = torch.ones(2, FRAMES)
    attention[1, SHORT:] = 0
    positions = fast_position_encoding(FRAMES, config.hidden_size)
    data = (x, positions, label, attention, target)
    value, _ = expert.forward(data, global_step=1)
    value.backward()
    arrays = {"x": x.numpy(), "target": target.numpy(), "label": label.numpy()}
    arrays |= {"loss": value.detach().numpy(), **gradients(model)}
    np.savez_compressed(OUT / f"{name}.npz", **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    masks()
    for name, family in (("apc", "apc"), ("vq_apc", "apc"), ("npc", "npc")):
        predictive(name, family)
    reconstructive("tera", 80, None, "L1")
    reconstructive("mockingjay_linear", 80, 201, "MSE")
