"""The worker that runs other programs' pre-training steps, in S3PRL's environment.

S3PRL's own TERA (its pretrain/mockingjay, with its online features over the padded
batch), the model of transformers for wav2vec 2.0, that of torchaudio for HuBERT.
Started by ``pretraining.py``.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import sys

import peer_stand_ins
import torch
from measure import measure, resident, serve
from step_clock import StepClock, step
from torch.nn.utils.rnn import pad_sequence

#: Of the sizes: layers, size, feed-forward, heads, channels of the convolutions.
SIZES = {"base": (12, 768, 3072, 12, 512), "tiny": (2, 64, 128, 4, 32)}
UNITS = 500
#: S3PRL's pretrain/tera/config_model.yaml: the wheel has no YAML files.
TASK = {
    "loss": "L1",
    "sequence_length": 1500,
    "mask_proportion": 0.15,
    "mask_consecutive_min": 7,
    "mask_consecutive_max": 7,
    "mask_allow_overlap": True,
    "mask_bucket_ratio": 1.5,
    "mask_frequency": 0.2,
    "noise_proportion": 0.0,
}
FEATURE = {"feat_type": "mel", "log": True, "delta": 0, "cmvn": True}
AUDIO = {
    "target_level": -25,
    "win_ms": 25,
    "hop_ms": 10,
    "n_freq": 201,
    "n_mels": 80,
    "n_mfcc": 13,
    "input": {**FEATURE, "channel": 0},
    "target": {**FEATURE, "channel": 1},
}
loaded = {}


def tera(size):
    """S3PRL's TERA: (name, model, optimizer, loss of a batch of waveforms)."""
    import s3prl

    sys.path.insert(0, os.path.dirname(s3prl.__file__))
    # It plots with matplotlib and librosa.
    peer_stand_ins.module("utility.audio", plot_spectrogram_to_numpy=None)
    from optimizers import get_optimizer
    from pretrain.mockingjay.dataset import OnlineAcousticDataset
    from pretrain.mockingjay.pretrain_expert import TransformerForMaskedAcousticModel
    from upstream.baseline.preprocessor import get_preprocessor
    from upstream.mockingjay.model import TransformerConfig

    _, hidden, ffn, heads, _ = SIZES[size]
    options = {
        "hidden_size": hidden,
        "num_hidden_layers": 3,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "share_layer": False,
        "pre_layer_norm": False,
    }
    extracter, input_dim, output_dim = get_preprocessor(AUDIO)
    config = TransformerConfig(options)
    config.loss = TASK["loss"]
    model = TransformerForMaskedAcousticModel(config, input_dim, output_dim=output_dim)
    dataset = OnlineAcousticDataset.__new__(OnlineAcousticDataset)  # without its lists
    dataset.libri_root, dataset.target_level = "there", AUDIO["target_level"]
    dataset.extracter = loaded["clock"].watched(extracter)
    dataset.task_config = {**TASK, "position_encoding_size": hidden}
    name = "AdamW_with_schedule"
    optimizer = get_optimizer([model], 1000, {"name": name, "lr": 2e-4})

    def loss(wavs):
        wavs = [dataset._normalize_wav_decibel(wav) for wav in wavs]
        batch = dataset._process_x_pad_batch(pad_sequence(wavs, batch_first=True))
        masked, positions, label, attention, target = batch
        positions = positions.expand(masked.size(0), *positions.size())
        return model(masked, positions, label, attention, target)[0]

    return f"S3PRL {s3prl.__version__}", model, optimizer, loss


def wav2vec2(size):
    """wav2vec 2.0 of transformers."""
    import transformers
    from transformers.models.wav2vec2 import modeling_wav2vec2 as module

    layers, hidden, ffn, heads, channels = SIZES[size]
    config = transformers.Wav2Vec2Config(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_attention_heads=heads,
        conv_dim=[channels] * 7,
        layerdrop=0.0,
        activation_dropout=0.0,
        mask_time_prob=0.65,
    )
    model = module.Wav2Vec2ForPreTraining(config)
    extractor = model.wav2vec2.feature_extractor
    extractor.forward = loaded["clock"].watched(extractor.forward)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4, weight_decay=0.01)

    def loss(wavs):
        padded = pad_sequence(wavs, batch_first=True)
        lengths = torch.tensor([len(wav) for wav in wavs])
        attention = torch.arange(padded.shape[1]) < lengths[:, None]
        frames = int(model._get_feat_extract_output_lengths(padded.shape[1]))
        valid = model._get_feature_vector_attention_mask(frames, attention.long())
        shape = (len(wavs), frames)
        mask = module._compute_mask_indices(shape, 0.65, 10, valid, min_masks=2)
        negatives = module._sample_negative_indices(shape, 100, mask)
        mask, negatives = torch.from_numpy(mask), torch.from_numpy(negatives)
        result = model(
            padded,
            attention_mask=attention.long(),
            mask_time_indices=mask,
            sampled_negative_indices=negatives,
        )
        return result.loss / mask.sum()

    return f"transformers {transformers.__version__}", model, optimizer, loss


def hubert(size):
    """HuBERT of torchaudio."""
    import torchaudio

    build = torchaudio.models.hubert_pretrain_base
    if size == "tiny":
        build = _small_hubert
    model = build(encoder_layer_drop=0.0, num_classes=UNITS)
    extractor = model.wav2vec2.feature_extractor
    extractor.forward = loaded["clock"].watched(extractor.forward)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4, weight_decay=0.01)

    def loss(wavs):
        padded = pad_sequence(wavs, batch_first=True)
        lengths = torch.tensor([len(wav) for wav in wavs])
        frames = (padded.shape[1] - 400) // 320 + 1
        labels = torch.randint(UNITS, (len(wavs), frames))
        masked, _, penalty = model(padded, labels, lengths)
        targets = torch.zeros(len(masked), dtype=torch.long)
        entropy = torch.nn.functional.cross_entropy(masked, targets, reduction="sum")
        return entropy / len(masked) + 10 * penalty

    return f"torchaudio {torchaudio.__version__}", model, optimizer, loss


def _small_hubert(**options):
    import torchaudio

    layers, hidden, ffn, heads, channels = SIZES["tiny"]
    convolutions = [(channels, 10, 5), *[(channels, 3, 2)] * 4, *[(channels, 2, 2)] * 2]
    return torchaudio.models.hubert_pretrain_model(
        extractor_mode="group_norm", extractor_conv_layer_config=convolutions,
        extractor_conv_bias=False, encoder_embed_dim=hidden,
        encoder_projection_dropout=0.1, encoder_pos_conv_kernel=128,
        encoder_pos_conv_groups=16, encoder_num_layers=layers, encoder_num_heads=heads,
        encoder_attention_dropout=0.1, encoder_ff_interm_features=ffn,
        encoder_ff_interm_dropout=0.0, encoder_dropout=0.1,
        encoder_layer_norm_first=False, mask_prob=0.8, mask_selection="static",
        mask_other=0.0, mask_length=10, no_mask_overlap=False, mask_min_space=1,
        mask_channel_prob=0.0, mask_channel_selection="static", mask_channel_other=0.0,
        mask_channel_length=10, no_mask_channel_overlap=False, mask_channel_min_space=1,
        skip_masked=False, skip_nomask=False, final_dim=256, feature_grad_mult=0.1,
        **options,
    )  # fmt: skip


def load(objective, size):
    """Builds model and optimizer, and runs a step on short audio; its name."""
    torch.manual_seed(0)
    loaded["clock"] = StepClock()
    build = {"tera": tera, "wav2vec2": wav2vec2, "hubert": hubert}[objective]
    name, model, optimizer, loss = build(size)
    loaded.update(model=model.train(), optimizer=optimizer, loss=loss)
    _step([0.1 * torch.randn(32000), 0.1 * torch.randn(24000)])
    loaded["baseline"] = resident()
    return f"{name}, torch {torch.__version__}"


def run(wavs):
    """A step on a batch, padded."""
    wavs = torch.load(wavs)
    result, cost = measure(lambda: _step(wavs), loaded["baseline"])
    return {**cost, **result}


def _step(wavs):
    parameters = list(loaded["model"].parameters())
    clock, optimizer = loaded["clock"], loaded["optimizer"]
    return step(lambda: loaded["loss"](wavs), parameters, optimizer, clock, 5.0)


if __name__ == "__main__":
    serve({"load": load, "run": run})
