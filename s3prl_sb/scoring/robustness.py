"""Scores of a finished run in noise.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path
from typing import Any

from s3prl_sb.scoring.command import scored
from s3prl_sb.startup.arguments import argument


def at_snr(
    folder: str | Path,
    snr: float,
    noises: str | Path | None = None,
    output: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Scores a run on its own test list in noise.

    It is ``s3prl-sb score FOLDER --test_noise "{snr: SNR}"``: the noise is a function
    of the utterance, so that the same call gives the same numbers.

    Arguments
    ---------
    folder : str
        Folder of the export or the run; it stays unchanged.
    snr : float
        Signal-to-noise ratio, dB.
    noises : str, optional
        Folder of noise recordings. Default: white noise.
    output : pathlib.Path, optional
        Folder to make. Default: one beside the run.
    device : str
        "cpu", "cuda", …; "auto" for a GPU if there is one.

    Returns
    -------
    dict
        Content of the ``results.json`` of the score: ``metrics`` and what they are
        measures of.

    Raises
    ------
    s3prl_sb.errors.UserError
        If the run cannot be scored, or its test list is gone.
    """
    noise = {"snr": snr, **({"folder": str(noises)} if noises else {})}
    options = {"output": output, "device": device}
    return scored(folder, options, ["--test_noise", argument(noise)])[0]
