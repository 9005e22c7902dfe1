"""CED: small Transformers that tag sounds, distilled from an ensemble of large ones.

Paper: Dinkel et al., "CED: Consistent ensemble distillation for audio tagging",
ICASSP 2024, https://arxiv.org/abs/2308.11957.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.dasheng import Dasheng, read_transformer


def read_ced(path):
    """Reads a checkpoint of CED, or of the masked autoencoder that it starts from.

    See :func:`~s3prl_sb.lobes.upstreams.dasheng.read_transformer`.
    """
    config, weights = read_transformer(path, "CED")
    if config["grid"][0] == 1:
        raise CheckpointError(
            f"'{path}' has patches of all mel bands: those of CED have a quarter of "
            "them. Is it a checkpoint of Dasheng?"
        )
    return config, weights


class Ced(Dasheng):
    """CED.

    A frame is the four patches of 16 mel bands at one time, 160 ms. The last hidden
    state has the final layer norm; the classifier of AudioSet is not used. Audio of
    more than 10.08 s runs in chunks of this length.

    Arguments
    ---------
    source, config, bands, **options
        See :class:`~s3prl_sb.lobes.upstreams.dasheng.Dasheng`; the sizes that
        ``config`` changes are those of CED-Base.

    Note
    ----
    The authors' code limits levels to 120 dB below the loudest one of the batch, here
    it is that of the utterance. It fills the last chunk with zeros, or leaves out the
    last one if it is complete; here it is as long as the audio. Theirs are 10.12 s
    long, with 40 ms at the end in no patch: their frames are so much earlier with every
    chunk, while here they are 160 ms apart throughout.

    In fine-tuning, batch norm keeps the statistics of pre-training.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Ced(config=tiny, bands="concat")
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 6, 128]))
    """

    defaults = {
        **Dasheng.defaults,
        "patch": [16, 16],
        "patch_stride": [16, 16],
        "grid": [4, 63],
    }
    read = staticmethod(read_ced)
