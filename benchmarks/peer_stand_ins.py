"""Replacements for functions that S3PRL 0.4.18 needs and current libraries lack.

With ``import peer_stand_ins`` before any import of S3PRL, its downstream programs run
unedited in an environment of their own. Audio is read with soundfile; libsox, which
removes pauses for ASV, comes with ``cysox``. S3PRL's arithmetic is not changed.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
import tempfile
import types

import huggingface_hub
import soundfile
import torch
import torchaudio


def module(name, **members):
    """A module of that name, for S3PRL to import."""
    made = types.ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)
    sys.modules[name] = made
    return made


def load(path, *args, **kwargs):
    """As ``torchaudio.load``: [channels, samples] and the rate."""
    samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def apply_effects_file(path, effects, **kwargs):
    """As torchaudio's of that name, for the effects that S3PRL asks for."""
    if any(name == "silence" for name, *_ in effects):
        return sox(path, effects)
    signal, rate = load(path)
    for name, *values in effects:
        if name == "channels":
            signal = signal.mean(0, keepdim=True)
        elif name == "gain":
            signal = signal * 10 ** (float(values[0]) / 20)
        elif name == "rate" and rate != int(values[0]):
            raise ValueError(f"{path} has {rate} Hz; resample it before")
    return signal, rate


def sox(path, effects):
    """All effects by libsox itself."""
    import cysox

    chain = [cysox.fx.Raw(name, *values) for name, *values in effects]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        wide = {"channels": 1, "bits": 32, "encoding": "float"}
        cysox.convert(str(path), file.name, effects=chain, **wide)
        return load(file.name)


def install():
    """Puts the stand-ins where S3PRL looks for them."""
    torchaudio.load = load
    torchaudio.set_audio_backend = lambda *args, **kwargs: None
    torchaudio.get_audio_backend = lambda *args, **kwargs: "soundfile"
    torchaudio.sox_effects = module(
        "torchaudio.sox_effects",
        apply_effects_file=apply_effects_file,
        apply_effects_tensor=lambda signal, rate, effects, **kwargs: (signal, rate),
    )
    module("sox", Transformer=object)  # imported, never used
    for name in ("HfFolder", "Repository"):  # for uploads
        if not hasattr(huggingface_hub, name):
            setattr(huggingface_hub, name, object)
    if not torch.cuda.is_available():  # its ASV moves a mask with .cuda()
        torch.Tensor.cuda = lambda self, *args, **kwargs: self


install()
