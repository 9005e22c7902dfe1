"""Reconstructions of altered spectrograms by pre-trained networks.

Authors
 * The s3prl_sb developers, 2026
"""

import io

from s3prl_sb.report.blocks import Options, Picture, Prose, Section
from s3prl_sb.report.gathered import Run

FILE = "reconstruction.png"
QUALITY = 45  # of WebP
LARGEST = 400_000  # bytes of a picture that is taken as it is


def section(run: Run, options: Options) -> Section | None:
    """Returns the reconstruction that a pre-training left.

    Arguments
    ---------
    run : Run
        A run.
    options : Options
        Not used.

    Returns
    -------
    Section or None
        None for other runs.
    """
    picture = run.once(FILE, _read)
    if picture is None:
        return None
    words = (
        "A held-out utterance: the spectrogram that is to be predicted, the input with "
        "its alterations, and the prediction of the network."
    )
    return Section("Reconstruction", "reconstruction", [Prose(words), picture])


def _read(path):
    """Returns a picture in less space; None if it is none."""
    data, alt = path.read_bytes(), "Spectrograms: target, altered input and prediction"
    try:
        from PIL import Image
    except ImportError:
        return _as_it_is(data, alt)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            file = io.BytesIO()
            image.convert("RGB").save(file, "webp", quality=QUALITY)
            return Picture(file.getvalue(), "webp", alt, *image.size)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _as_it_is(data, alt):
    """Returns a PNG with the size that its header has."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or not 24 < len(data) < LARGEST:
        return None
    width, height = (int.from_bytes(data[i : i + 4]) for i in (16, 20))
    return Picture(data, "png", alt, width, height)
