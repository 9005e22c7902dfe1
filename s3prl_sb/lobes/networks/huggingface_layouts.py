"""Names of the modules and of the weights of transformers' encoders.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple


class Layout(NamedTuple):
    """Names in a network of transformers."""

    layers: str = "encoder.layers"  #: layers of its encoder
    last: str | None = None  #: module with the last state as its input; None: output
    idle: str | None = None  #: module that no hidden state needs, but that has to run
    network: str | None = None  #: module and class; None: those of AutoModel
    #: prefixes of its weights in larger models; None: those of its base model
    prefixes: tuple[str, ...] | None = None
    unused: tuple[str, ...] = ()  #: modules after the last state, which are not built
    pooled: str | None = None  #: norm after the mean of pairs of frames
    positions: str = "encoder.embed_positions"  #: table that no checkpoint has
    since: str = "4.57"  #: first version of transformers with this type


#: Layout of each ``model_type``.
TYPES = {
    "data2vec-audio": Layout(),
    "hubert": Layout(),
    "sew": Layout(last="encoder.upsample", idle="encoder.upsample"),
    "sew-d": Layout("encoder.encoder.layer", "encoder.upsample", "encoder.upsample"),
    "unispeech": Layout(),
    "unispeech-sat": Layout(),
    "wav2vec2": Layout(),
    "wav2vec2-bert": Layout(),
    "wav2vec2-conformer": Layout(idle="encoder.pos_conv_embed"),
    "wavlm": Layout(),
    "whisper": Layout(
        "layers",
        network="whisper.WhisperEncoder",
        prefixes=("model.encoder.", "encoder."),
    ),
}
#: Larger models: type of the encoder in them, and where its configuration is.
WHOLE: dict[str, tuple[str, tuple[str, ...]]] = {}
