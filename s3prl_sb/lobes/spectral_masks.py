"""Masks over spectra: application, and the magnitudes that they are trained towards.

A mask is one factor for each frame and bin of a mixture's spectrum, and each source
has one. The sources keep the phase of the mixture.

Papers: Erdogan et al. 2015, https://doi.org/10.1109/ICASSP.2015.7178061 (phase-
sensitive); Kolbæk et al. 2017, https://arxiv.org/abs/1703.06284 (non-negative).

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.stft import STFT

#: Magnitudes that masks are trained towards, by name.
TARGETS = ("npsm", "psm", "am")
#: Activations of masks, by name.
ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "none": lambda x: x}
#: Compressions of magnitudes in the loss and under the mask, with their inverses.
COMPRESSIONS = {
    "none": (lambda x: x, lambda x: x),
    "log1p": (torch.log1p, torch.expm1),
}


def estimated_masks(
    output: torch.Tensor, num_sources: int, activation: str
) -> torch.Tensor:
    """Returns the masks that the output of a head stands for.

    Arguments
    ---------
    output : torch.Tensor
        [batch, frames, sources * bins].
    num_sources : int
        Number of sources.
    activation : str
        Name among :data:`ACTIVATIONS`.

    Returns
    -------
    torch.Tensor
        [batch, frames, sources, bins], float32.

    Example
    -------
    >>> estimated_masks(torch.zeros(1, 5, 6), 2, "sigmoid").shape
    torch.Size([1, 5, 2, 3])
    """
    return ACTIVATIONS[activation](output.float().unflatten(2, (num_sources, -1)))


def target_magnitudes(
    mixture: torch.Tensor, sources: torch.Tensor, target: str = "npsm"
) -> torch.Tensor:
    """Returns the magnitudes that the masked mixture should have.

    Arguments
    ---------
    mixture : torch.Tensor
        Complex, [batch, frames, bins].
    sources : torch.Tensor
        Complex, [batch, frames, sources, bins].
    target : str
        "am": the magnitudes of the sources. "psm", phase-sensitive: their part in the
        direction of the mixture. "npsm", non-negative: that part where it is positive.

    Returns
    -------
    torch.Tensor
        [batch, frames, sources, bins].

    Example
    -------
    >>> mixture = torch.tensor([[[2.0 + 0j, 2.0 + 0j]]])
    >>> source = torch.tensor([[[[3j, 3.0 + 4j]]]])
    >>> target_magnitudes(mixture, source, "am").tolist()
    [[[[3.0, 5.0]]]]
    >>> target_magnitudes(mixture, source, "npsm").tolist()
    [[[[0.0, 3.0]]]]
    """
    if target == "am":
        return sources.abs()
    direction = torch.sgn(mixture)
    # The phase of zero counts as zero.
    direction = torch.where(mixture == 0, torch.ones_like(direction), direction)
    along = (sources * direction.conj().unsqueeze(2)).real
    return along.relu() if target == "npsm" else along


def masked_magnitudes(
    masks: torch.Tensor, mixture: torch.Tensor, compression: str = "none"
) -> torch.Tensor:
    """Returns the compressed magnitudes of the masked mixture.

    Arguments
    ---------
    masks : torch.Tensor
        [batch, frames, sources, bins].
    mixture : torch.Tensor
        Complex, [batch, frames, bins].
    compression : str
        Name among :data:`COMPRESSIONS`.

    Returns
    -------
    torch.Tensor
        [batch, frames, sources, bins]. Compare them with targets that are compressed
        in the same way.
    """
    compress, _ = COMPRESSIONS[compression]
    return masks * compress(mixture.abs()).unsqueeze(2)


def separated(
    masks: torch.Tensor, mixture: torch.Tensor, stft: STFT, compression: str = "none"
) -> torch.Tensor:
    """Returns the waveforms of the sources of one mixture.

    Arguments
    ---------
    masks : torch.Tensor
        [frames, sources, bins], for all frames of the mixture.
    mixture : torch.Tensor
        [samples].
    stft : STFT
        Transform that the masks are for.
    compression : str
        Name among :data:`COMPRESSIONS`.

    Returns
    -------
    torch.Tensor
        [sources, samples].

    Note
    ----
    The last mask applies to one more frame, centred after the end. Without it the last
    samples are divided by the edge of a window, almost zero, and become an impulse.
    S3PRL has that impulse, and silences what follows the first of the last 512 samples
    that exceeds all earlier ones; speech that is loudest at its end is lost.

    Example
    -------
    >>> stft, mixture = STFT(512, hop_length=320), torch.randn(1000)
    >>> masks = torch.ones(stft.frames(1000), 1, stft.bins)
    >>> torch.allclose(separated(masks, mixture, stft)[0], mixture, atol=1e-5)
    True
    """
    longer = torch.nn.functional.pad(mixture, (0, stft.hop_length))
    spectrum = stft(longer)
    masks = torch.cat([masks, masks[-1:]])
    _, expand = COMPRESSIONS[compression]
    magnitudes = expand(masked_magnitudes(masks[None], spectrum[None], compression)[0])
    sources = magnitudes * torch.sgn(spectrum).unsqueeze(1)
    return stft.inverse(sources.transpose(0, 1), len(mixture))
