"""Makes fixtures/masks.safetensors from S3PRL 0.4.18, in its environment (make.py).

    PYTHONPATH=benchmarks s3prl-env/bin/python tests/parity/downstream/make_masks.py \
        CHECKOUT

CHECKOUT is a clone of S3PRL's repository, which has the configurations.

It has two utterances of two sources and, for each of S3PRL's experts of enhancement
and separation, with a small network: the loss and the gradients of a batch, and the
waveforms that it separates. ``asteroid`` only measures, and is replaced.
"""

import sys
import tempfile
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import peer_stand_ins
import soundfile
import torch
import yaml
from safetensors.torch import save_file

SIZE, HIDDEN, STRIDE = 6, 4, 320
SAMPLES = (6300, 4700)  # whole numbers of frames of either hop
EXPERTS = [
    f"{task}_stft{version}"
    for task in ("enhancement", "separation")
    for version in ("", "2")
]
HERE = Path(__file__).parent
separated = []


def get_metrics(mixture, clean, estimate, metrics_list, **options):
    """Keeps the estimates instead of measuring them."""
    separated.append(torch.from_numpy(estimate))
    zeros = {name: 0.0 for name in metrics_list}
    return {**zeros, **{f"input_{name}": 0.0 for name in metrics_list}}


peer_stand_ins.module("h5py")  # imported, and not used
peer_stand_ins.module("asteroid")
peer_stand_ins.module("asteroid.metrics", get_metrics=get_metrics)
peer_stand_ins.module("asteroid.losses", PITLossWrapper=lambda *args, **kwargs: None)


def sources():
    """Two sources of each utterance, as integers of 16 bits."""
    made = []
    for samples in SAMPLES:
        time = torch.arange(samples) / 16000
        tone = 0.1 * torch.sin(2 * torch.pi * 440 * time * (1 + time))
        pulses = 0.2 * torch.randn(samples) * (torch.sin(2 * torch.pi * 9 * time) > 0)
        made.append(torch.stack([tone, pulses]).mul(2**15).round().short())
    return made


def corpus(folder, names, waves):
    """Folders with a wav.scp for the mixtures and each source; mixtures come first."""
    for place, name in enumerate(names):
        (folder / name).mkdir()
        lines = []
        for number, parts in enumerate(waves):
            wave = parts.sum(0) if place == 0 else parts[place - 1]
            path = folder / name / f"{number}.wav"
            soundfile.write(path, wave.short().numpy(), 16000, "PCM_16")
            lines.append(f"utterance{number} {path}\n")
        (folder / name / "wav.scp").write_text("".join(lines))


def expert(task, folder):
    """An expert with a small network over this corpus, without dropout."""
    made = import_module(f"s3prl.downstream.{task}.expert")
    configs = Path(sys.argv[1], "s3prl/downstream", task, "configs")
    (file,) = configs.glob("*.yaml")
    config = yaml.safe_load(file.read_text())["downstream_expert"]
    config["modelrc"].update(hidden_size=HIDDEN, dropout=0.0)
    for split in ("train", "dev", "test"):
        config["loaderrc"][f"{split}_dir"] = str(folder)
    return made.DownstreamExpert(SIZE, STRIDE, config, str(folder))


def main():
    torch.manual_seed(0)
    waves = sources()
    tensors = {f"sources/{i}": wave for i, wave in enumerate(waves)}
    for task in EXPERTS:
        mixture_and = ["mix_clean", "s1", "s2"]
        names = ["noisy", "clean"] if "enhancement" in task else mixture_and
        with tempfile.TemporaryDirectory() as folder:
            corpus(Path(folder), names, waves)
            model = expert(task, Path(folder))
            data = model.train_dataset
            examples = [data[i] for i in range(len(data))]
            frames = [1 + samples // STRIDE for samples in SAMPLES]
            if task == "enhancement_stft2":  # a frame of features for two of the STFT
                frames = [(1 + samples // 160) // 2 for samples in SAMPLES]
            features = [torch.randn(count, SIZE) for count in frames]
            _, *others = data.collate_fn(examples)
            loss = model("train", features, *others, defaultdict(list))
            loss.backward()
            model.eval()
            with torch.no_grad():
                for feature, example in zip(features, examples):
                    separated.clear()
                    _, *others = data.collate_fn([example])
                    records = defaultdict(list)
                    model("dev", [feature], *others, records, batch_id=1)
        tensors[f"{task}/loss"] = loss.detach()
        # Of the last utterance, and the first order if several are measured.
        tensors[f"{task}/estimates"] = separated[0].float()
        for i, feature in enumerate(features):
            tensors[f"{task}/features/{i}"] = feature
        for key, parameter in model.model.named_parameters():
            tensors[f"{task}/weight/{key}"] = parameter.detach()
            tensors[f"{task}/gradient/{key}"] = parameter.grad
    contiguous = {key: value.contiguous().clone() for key, value in tensors.items()}
    save_file(contiguous, HERE / "fixtures/masks.safetensors")


if __name__ == "__main__":
    main()
