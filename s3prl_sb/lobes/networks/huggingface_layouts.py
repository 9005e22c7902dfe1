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


#: Prefixes of the weights of an audio tower in a large language model, since the names
#: of transformers changed.
TOWER = (
    "audio_tower.",
    "model.audio_tower.",
    "thinker.audio_tower.",
    "thinker.model.audio_tower.",
)
#: What w2v-BERT's successors add after it, with the adaptor to text.
AFTER_SEAMLESS = ("intermediate_ffn", "inner_layer_norm")
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
    # ------------------------------------------------ recognition and translation
    "moonshine": Layout(
        "layers",
        network="moonshine.MoonshineEncoder",
        prefixes=("model.encoder.", "encoder."),
        positions="rotary_emb",
    ),
    "parakeet_encoder": Layout(
        "layers",
        network="parakeet.ParakeetEncoder",
        prefixes=("encoder.", "model.encoder."),
        positions="encode_positions",
    ),
    "seamless_m4t": Layout(
        last="intermediate_ffn",
        network="seamless_m4t.SeamlessM4TSpeechEncoder",
        prefixes=("speech_encoder.",),
        unused=AFTER_SEAMLESS,
    ),
    "seamless_m4t_v2": Layout(
        last="intermediate_ffn",
        network="seamless_m4t_v2.SeamlessM4Tv2SpeechEncoder",
        prefixes=("speech_encoder.",),
        unused=AFTER_SEAMLESS,
    ),
    # ------------------------------------- the ears of large language models, CLAP
    "audioflamingo3_encoder": Layout(
        "layers",
        network="audioflamingo3.AudioFlamingo3Encoder",
        prefixes=TOWER,
        unused=("avg_pooler",),
        pooled="layer_norm",
        since="5.0",
    ),
    "clap_audio_model": Layout(
        "audio_encoder.layers",
        network="clap.ClapAudioModel",
        prefixes=("audio_model.", "clap.audio_model."),
        unused=(
            "audio_encoder.patch_embed.fusion_model",
            "audio_encoder.patch_embed.mel_conv2d",
        ),
        since="5.0",
    ),
    "glmasr_encoder": Layout(
        "layers",
        network="glmasr.GlmAsrEncoder",
        prefixes=TOWER,
        positions="rotary_emb",
        since="5.0",
    ),
    "qwen2_5_omni_audio_encoder": Layout(
        "layers",
        network="qwen2_5_omni.Qwen2_5OmniAudioEncoder",
        prefixes=TOWER,
        unused=("proj", "audio_bos_eos_token"),
        pooled="ln_post",
        positions="positional_embedding",
        since="5.0",
    ),
    "qwen2_audio_encoder": Layout(
        "layers",
        network="qwen2_audio.Qwen2AudioEncoder",
        prefixes=TOWER,
        unused=("avg_pooler",),
        pooled="layer_norm",
    ),
    "qwen3_omni_moe_audio_encoder": Layout(
        "layers",
        last="proj1",
        network="qwen3_omni_moe.Qwen3OmniMoeAudioEncoder",
        prefixes=TOWER,
        unused=("proj1", "proj2"),
        positions="positional_embedding",
        since="5.0",
    ),
    "voxtral_encoder": Layout(
        "layers", network="voxtral.VoxtralEncoder", prefixes=TOWER
    ),
}
#: Larger models: type of the encoder in them, and where its configuration is.
WHOLE = {
    "audioflamingo3": ("audioflamingo3_encoder", ("audio_config",)),
    "clap": ("clap_audio_model", ("audio_config",)),
    "glmasr": ("glmasr_encoder", ("audio_config",)),
    "musicflamingo": ("audioflamingo3_encoder", ("audio_config",)),
    "parakeet_ctc": ("parakeet_encoder", ("encoder_config",)),
    "parakeet_rnnt": ("parakeet_encoder", ("encoder_config",)),
    "parakeet_tdt": ("parakeet_encoder", ("encoder_config",)),
    "qwen2_5_omni": ("qwen2_5_omni_audio_encoder", ("thinker_config", "audio_config")),
    "qwen2_5_omni_thinker": ("qwen2_5_omni_audio_encoder", ("audio_config",)),
    "qwen2_audio": ("qwen2_audio_encoder", ("audio_config",)),
    "qwen3_omni_moe": (
        "qwen3_omni_moe_audio_encoder",
        ("thinker_config", "audio_config"),
    ),
    "qwen3_omni_moe_thinker": ("qwen3_omni_moe_audio_encoder", ("audio_config",)),
    "voxtral": ("voxtral_encoder", ("audio_config",)),
}
