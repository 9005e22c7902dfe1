"""Makes ``fixtures/distillation.npz`` with the loss of S3PRL 0.4.18.

    git clone https://github.com/s3prl/s3prl
    .venv-s3prl/bin/python tests/parity/make_distillation.py s3prl/s3prl

It runs in the environment that ``make.py`` makes. S3PRL's wheel lacks the pre-training
of its distiller, so that the module is read from a checkout. Teacher and student are
the committed checkpoints ``fixtures/hubert`` and ``fixtures/distilhubert``. There is no
dropout, and the utterances have the same length: S3PRL's loss counts padding.
"""

import argparse
import importlib.util
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE / "fixtures"
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

import numpy as np  # noqa: E402
import peer_stand_ins  # noqa: E402, F401
import s3prl.hub as hub  # noqa: E402
import s3prl.upstream.distiller.model as model  # noqa: E402
import torch  # noqa: E402

TARGETS = [1, 2, 3]  # layers of the teacher
SAMPLES = 8000
DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop")
#: Weights of which the gradient is kept, one of each kind.
KEPT = (
    "feature_extractor.conv_layers.0.0.weight",
    "post_extract_proj.weight",
    "encoder.layers.0.self_attn.q_proj.weight",
    "encoder.layers.1.fc2.bias",
    "output_layer.0.weight",
    "output_layer.2.weight",
)


def expert(checkout):
    """S3PRL's module of the pre-training of its distiller."""
    path = checkout / "pretrain" / "distiller" / "pretrain_expert.py"
    stand_ins = {"easydict": {"EasyDict": types.SimpleNamespace}}
    stand_ins["pretrain.distiller.dataset"] = {"OnlineWaveDataset": None}
    for name, members in stand_ins.items():
        peer_stand_ins.module(name, **members)
    for name in ("pretrain", "pretrain.distiller", "upstream", "upstream.distiller"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["upstream.distiller.model"] = model
    spec = importlib.util.spec_from_file_location("pretrain_expert", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def distiller(module, initialize):
    """S3PRL's model with the student's and the teacher's weights of the fixtures."""
    teacher = hub.hubert_local(str(FIXTURES / "hubert/ckpt.pt"))
    torch.hub.load = lambda *args, **kwargs: teacher
    content = torch.load(FIXTURES / "distilhubert/ckpt.pt", weights_only=False)
    config = dict(content["Config"]["distiller"], pred_layer_id=TARGETS)
    config |= dict.fromkeys(DROPOUTS, 0.0)
    config |= {"init_teacher_conv_layers": initialize, "feat_pen_loss": 0.5}
    config |= {"init_teacher_encoder_layers": initialize}
    about = types.SimpleNamespace(model="hubert_local", n_layers=3)
    made = module.DistillerForPretrain(model.DistillerConfig(config), about)
    if not initialize:
        made.distiller.load_state_dict(content["Distiller"])
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkout", type=Path, help="folder with pretrain/distiller")
    module = expert(parser.parse_args().checkout)
    made = distiller(module, initialize=False).eval()
    wavs = np.load(FIXTURES / "wavs.npz")
    wavs = [torch.from_numpy(wavs[name][:SAMPLES]) for name in ("utt0", "utt1")]
    lengths = torch.tensor([SAMPLES, SAMPLES])
    batch = torch.stack(wavs)
    loss, parts = made(batch, wavs, lengths, torch.ones_like(batch), return_other=True)
    loss.backward()
    named = dict(made.distiller.named_parameters())
    content = {f"gradient/{name}": named[name].grad.numpy() for name in KEPT}
    content["loss"] = loss.item()
    for name in ("rec", "sim"):
        values = [float(parts[f"{name}_l{target}"]) for target in TARGETS]
        content[name] = np.array(values)
    content["feat_pen"] = float(parts["feat_pen"])
    started = distiller(module, initialize=True).distiller.state_dict()
    for name in KEPT[:3]:
        content[f"started/{name}"] = started[name].numpy()
    np.savez_compressed(FIXTURES / "distillation.npz", **content)
    print({k: v for k, v in content.items() if "/" not in k})


if __name__ == "__main__":
    main()
