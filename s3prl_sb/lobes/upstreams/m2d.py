"""M2D, Masked Modeling Duo: general audio, speech, and audio with captions.

Papers: Niizumi et al., "Masked Modeling Duo: Learning Representations by Encouraging
Both Networks to Model the Input", ICASSP 2023, https://arxiv.org/abs/2210.14648;
"Masked Modeling Duo for Speech", Interspeech 2023, https://arxiv.org/abs/2305.14079;
"M2D-CLAP", Interspeech 2024, https://arxiv.org/abs/2406.02032.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import below
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm
from s3prl_sb.lobes.checkpoints.unpacking import unpacked
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram
from s3prl_sb.lobes.networks.vision_transformer import VisionTransformerConfig
from s3prl_sb.lobes.upstreams.patches import PatchUpstream

N_MELS = 80
LOWEST = 50.0  # Hz
#: Smallest step of fp32 at 1, added to energies.
EPSILON = 2.0**-23
#: Mean and standard deviation of AudioSet's log mel energies, of files without them.
STATISTICS = (-7.1, 4.2)
#: Part of the names of published folders: bands and frames of the input, then of a
#: patch, then the sample rate in kHz if it is not 16.
SHAPE = re.compile(r"-(\d+)x(\d+)p(\d+)x(\d+)(?:p(\d+)k)?")
#: Weights that only pre-training, captions or a task use.
TRAINING_ONLY = re.compile(
    r"(mask_token$|decoder_|target_|offline_predictor\.|audio_proj\.|text_proj\."
    r"|text_encoder\.|(fc_norm|head|head_norm)\.|logit_scale$|temperature$)"
)
NEEDED = ("patch_embed.proj.weight", "cls_token", "pos_embed", "norm.weight")


@dataclasses.dataclass
class M2dConfig(VisionTransformerConfig):
    """Configuration of M2D: :class:`VisionTransformerConfig`, and that of the input.

    Arguments
    ---------
    sample_rate : int
        Sample rate of the waveforms in Hz, 16000 or 32000.
    mean, std : float
        Statistics of log mel energies.
    """

    patch_stride: list = dataclasses.field(default_factory=lambda: [16, 16])
    grid: list = dataclasses.field(default_factory=lambda: [5, 38])
    positions: str = "first"
    num_tokens: int = 1
    num_classes: int = 0
    norm: str = "last"
    sample_rate: int = 16000
    mean: float = STATISTICS[0]
    std: float = STATISTICS[1]


def read_m2d(path):
    """Reads a checkpoint of the authors.

    Arguments
    ---------
    path : pathlib.Path
        File of weights, or the published zip with one. The name of the zip, the file
        or its folder has the sizes, such as ``80x608p16x16``.

    Returns
    -------
    config : dict
        Entries of :class:`M2dConfig`; ``sample_rate`` only if a name has the sizes.
    weights : dict
        Weights of
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformer`. Those
        of pre-training, of captions and of a task are dropped.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or its name has other sizes.
    """
    file = unpacked(path, (".pth", ".pt"))
    content = as_dict(read(file))
    weights = as_dict(content.get("model")) or content
    weights = below({str(n): x for n, x in weights.items()}, NEEDED[0])
    weights = {n: x for n, x in weights.items() if not TRAINING_ONLY.match(n)}
    if not set(NEEDED) <= weights.keys() or "dist_token" in weights:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of M2D: these have {', '.join(NEEDED)} and "
            "no dist_token. Its keys: " + ", ".join(sorted(weights)[:8])
        )
    mean, std = STATISTICS
    if "norm_stats" in weights:
        mean, std = values.single(weights, "norm_stats").tolist()
        del weights["norm_stats"]
    sizes, weights = from_timm(weights, path)
    token, positions = weights.pop("cls_token")[0], weights.pop("pos_embed")[0]
    high, wide = sizes["patch"]
    bands = max(1, N_MELS // high)
    times, rest = divmod(len(positions) - 1, bands)
    if rest or weights["patches.weight"].shape[1] != 1:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of M2D: {len(positions) - 1} positions are "
            f"not those of patches of {high} x {wide} over {N_MELS} mel bands"
        )
    weights["tokens"] = token + positions[:1]
    weights["positions"] = positions[1:].unflatten(0, (bands, times))
    sizes.update(
        patch_stride=sizes["patch"],
        grid=[bands, times],
        mean=mean,
        std=std,
        **_sample_rate(path, file, sizes["patch"], times),
    )
    return sizes, weights


def _sample_rate(path, file, patch, times):
    """Returns the entry of the sample rate, if a name has the sizes."""
    for name in (file.parent.name, file.name, path.name):
        if match := SHAPE.search(name):
            bands, frames, high, wide, khz = (int(x or 16) for x in match.groups())
            if [high, wide] != patch or frames // wide != times or bands != N_MELS:
                raise CheckpointError(
                    f"'{path}' has {times} patches of {patch[0]} x {patch[1]} over "
                    f"{N_MELS} bands, which is not what '{name}' says: give the folder "
                    "its published name"
                )
            return {"sample_rate": khz * 1000}
    return {}


class M2d(PatchUpstream):
    """M2D, M2D-S, M2D-AS and M2D-CLAP.

    A frame has the patches at one time: 160 ms, 40 ms or 20 ms for patches of 16, 4 or
    2 frames. The last hidden state has the final layer norm. Longer audio than the
    input of pre-training runs in chunks of its length.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, its address, or the zip with it. None: a random
        network of ``config``.
    config : dict, optional
        Entries of :class:`M2dConfig` that differ from M2D Base with patches of 16 x 16
        and positions for 608 frames. With ``source`` only ``sample_rate`` counts, for a
        file whose name does not tell.
    bands : str
        "concat", as in the authors' code: a frame is the patches at one time side by
        side, lowest band first; or their "mean".
    statistics : list of float, optional
        Mean and standard deviation of the log mel energies of other data than those of
        pre-training, which the authors recommend. None: those of the checkpoint.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.patches.PatchUpstream`.

    Note
    ----
    The authors' code adds silence, which is zero in normalized features, up to a whole
    patch; here what does not fill a patch at the end is left out. Of an input of 1001
    frames, 9 are in no patch of 16: with longer audio, their frames are 90 ms earlier
    with every chunk, while here they are one stride apart throughout. The hidden states
    of their upstream for S3PRL are those here without the first one, and with the
    statistics of the task.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = M2d(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 6, 160]))
    """

    Config = M2dConfig
    read = staticmethod(read_m2d)

    def __init__(
        self, source=None, config=None, bands="concat", statistics=None, **options
    ):
        if statistics is not None and not (len(statistics) == 2 and statistics[1] > 0):
            raise ValueError(
                f"statistics {statistics} must be a mean and a standard deviation"
            )
        self.statistics = statistics
        super().__init__(source, config, bands, **options)
        self.sample_rate = self.config.sample_rate
        self.network.positions.requires_grad_(False)  # sines

    def load_source(self, source, config):
        """See :meth:`PretrainedUpstream.load_source`."""
        entries, weights = super().load_source(source, config)
        rate = config.get("sample_rate", M2dConfig.sample_rate)
        return {"sample_rate": rate, **entries}, weights

    def make_features(self):
        """Returns the front end."""
        config = self.config
        mean, std = self.statistics or (config.mean, config.std)
        return MelSpectrogram(
            sample_rate=config.sample_rate,
            n_fft=config.sample_rate // 40,
            hop=config.sample_rate // 100,
            n_mels=N_MELS,
            fmin=LOWEST,
            scale="slaney",
            norm="slaney",
            log="natural",
            floor=EPSILON,
            mean=mean,
            std=std,
        )
