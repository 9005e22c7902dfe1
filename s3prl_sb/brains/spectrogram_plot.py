"""Spectrograms of several waveforms side by side, on one scale.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.brains.plots import axes_of_size, finish, shown

N_FFT, HOP = 512, 128  # at 16 kHz; in proportion at other rates
RANGE = 80  # decibels below the loudest point of all
LONGEST = 20.0  # seconds that are drawn


def spectrograms(path, waveforms, rate, title=""):
    """Plots the spectrogram of each waveform, all with the same colors.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    waveforms : dict
        Names to [samples]; of more than 20 s the first are drawn.
    rate : int
        Hz.
    title : str
        Title of the plot.
    """
    axes = axes_of_size(3.4, 2.4, len(waveforms))
    if axes is None:
        return
    values = {name: levels(wav, rate) for name, wav in waveforms.items()}
    top = max(float(each.max()) for each in values.values())
    axes = axes if len(waveforms) > 1 else [axes]
    for place, name, drawable in zip(axes, values, shown(waveforms)):
        seconds = min(len(waveforms[name]) / rate, LONGEST)
        place.imshow(
            values[name].numpy(),
            vmin=top - RANGE,
            vmax=top,
            cmap="magma",
            aspect="auto",
            origin="lower",
            extent=(0, seconds, 0, rate / 2000),
        )
        place.set_xlabel(f"{drawable}, seconds")
    axes[0].set_ylabel("kHz")
    finish(axes[0], path, title, bare=False)


def levels(wav, rate):
    """Returns the spectrogram of a waveform.

    Arguments
    ---------
    wav : torch.Tensor
        [samples].
    rate : int
        Hz.

    Returns
    -------
    torch.Tensor
        [bins, frames], decibels, of the first 20 s.

    Example
    -------
    >>> levels(torch.ones(16000), 16000).shape
    torch.Size([257, 126])
    """
    n_fft, hop = (2 * max(1, round(n * rate / 32000)) for n in (N_FFT, HOP))
    wav = wav.detach().cpu().float()[: round(LONGEST * rate)]
    spectrum = torch.stft(
        wav,
        n_fft,
        hop,
        window=torch.hann_window(n_fft),
        pad_mode="constant",  # any length
        return_complex=True,
    )
    return 20 * spectrum.abs().clamp_min(1e-7).log10()
