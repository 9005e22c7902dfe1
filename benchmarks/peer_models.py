"""The worker that runs HuBERT of Hugging Face or torchaudio, in S3PRL's environment.

Started by ``extraction.py``. Their weights are random: only their speed is compared.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from measure import measure, resident, serve

#: Layers, size, feed-forward, heads, channels of the convolutions.
SIZES = {
    "tiny": (3, 64, 256, 4, 32),
    "base": (12, 768, 3072, 12, 512),
    "large": (24, 1024, 4096, 16, 512),
}
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
loaded = {}


def hugging_face(size):
    """Returns the version, and a function of a padded batch."""
    import transformers

    layers, hidden, ffn, heads, channels = SIZES[size]
    config = transformers.HubertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_attention_heads=heads,
        conv_dim=[channels] * len(KERNELS),
        do_stable_layer_norm=size == "large",
        feat_extract_norm="layer" if size == "large" else "group",
    )
    model = transformers.HubertModel(config).eval()

    def run(batch, lengths):
        mask = torch.arange(batch.shape[1]) < lengths[:, None]
        mask = None if len(batch) == 1 else mask.long()
        return model(batch, attention_mask=mask, output_hidden_states=True)

    return f"transformers {transformers.__version__}", run


def torchaudio(size):
    """Returns the version, and a function of a padded batch."""
    import torchaudio

    layers, hidden, ffn, heads, channels = SIZES[size]
    model = torchaudio.models.wav2vec2_model(
        extractor_mode="layer_norm" if size == "large" else "group_norm",
        extractor_conv_layer_config=[
            (channels, kernel, stride) for kernel, stride in zip(KERNELS, STRIDES)
        ],
        extractor_conv_bias=False,
        encoder_embed_dim=hidden,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=128,
        encoder_pos_conv_groups=16,
        encoder_num_layers=layers,
        encoder_num_heads=heads,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=ffn,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=size == "large",
        encoder_layer_drop=0.0,
        aux_num_out=None,
    ).eval()

    def run(batch, lengths):
        return model.extract_features(batch, None if len(batch) == 1 else lengths)

    return f"torchaudio {torchaudio.__version__}", run


def load(library, size):
    """Builds the model; returns the version of the library."""
    version, run = {"hugging_face": hugging_face, "torchaudio": torchaudio}[library](
        size
    )
    loaded["run"] = run
    with torch.no_grad():  # one-time costs
        run(torch.randn(1, 16000), torch.tensor([16000]))
    loaded["baseline"] = resident()
    return version


def extract(wavs, alone):
    """Hidden states of a batch, padded or each utterance alone."""
    wavs = torch.load(wavs)

    def run():
        states = []
        with torch.no_grad():
            for group in [[wav] for wav in wavs] if alone else [wavs]:
                batch = torch.nn.utils.rnn.pad_sequence(group, batch_first=True)
                lengths = torch.tensor([len(wav) for wav in group])
                states.append(loaded["run"](batch, lengths))  # held, as ours are
        return states

    return measure(run, loaded["baseline"])[1]


if __name__ == "__main__":
    serve({"load": load, "extract": extract})
