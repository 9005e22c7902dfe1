"""From a folder of recordings to manifests: the one place that knows its layout.

Spoken digits, as in the Free Spoken Digit Dataset
(https://github.com/Jakobovski/free-spoken-digit-dataset): one folder of
``<label>_<speaker>_<number>.wav``, such as ``7_jackson_32.wav``.

Authors
 * Me, 2026
"""

import re
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

VERSION = "digits/1"  # raise it when the same recordings give other manifests
NAME = re.compile(r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<number>\d+)\.wav")


def prepare_digits(data_folder, save_folder, test_numbers=5, valid_numbers=5):
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Holds the recordings, at any depth.
    save_folder : str
        Where the manifests go. A finished preparation of the same files is kept.
    test_numbers, valid_numbers : int
        Of each speaker and label, recordings 0 to ``test_numbers`` - 1 are the test
        set, the next ``valid_numbers`` are for validation, the rest is training.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` and
        ``speaker``.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n in range(12):
    ...         soundfile.write(f"{folder}/7_me_{n}.wav", numpy.zeros(800), 8000)
    ...     paths = prepare_digits(folder, folder + "/save")
    ...     record = manifest.read(paths["train"])["7_me_11"]
    >>> record["label"], record["duration"], record["start"]
    ('7', 0.1, None)
    """
    wavs = sorted(Path(data_folder).resolve().rglob("*.wav"))
    # An error says what was looked for, where, and the way out.
    if not wavs:
        raise ManifestError(f"{data_folder}: no .wav files. Set data_folder.")
    strange = [str(wav) for wav in wavs if not NAME.fullmatch(wav.name)]
    if strange:
        way_out = "Expected <label>_<speaker>_<number>.wav. Rename or remove them."
        raise ManifestError.listing(strange, way_out, len(wavs))

    # What the manifests depend on. The same again: there is nothing to do.
    arguments = {
        "version": VERSION,
        "wavs": [str(wav) for wav in wavs],
        "numbers": [test_numbers, valid_numbers],
    }
    paths = manifest.finished(save_folder, arguments)
    if paths:
        return paths

    splits = {"train": {}, "valid": {}, "test": {}}
    for wav, seconds in zip(wavs, headers.durations(wavs)):
        name = NAME.fullmatch(wav.name)
        number = int(name["number"])
        split = "train"
        if number < test_numbers + valid_numbers:
            split = "test" if number < test_numbers else "valid"
        splits[split][wav.stem] = {
            "wav": str(wav),
            "duration": seconds,
            # Of a long recording the part that is meant, in seconds.
            "start": None,
            "stop": None,
            # Any labels that you like, the same ones in every record.
            "label": name["label"],
            "speaker": name["speaker"],
        }
    return manifest.finish(splits, save_folder, arguments, required=("label",))
