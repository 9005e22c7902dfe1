"""Toy of Libri-light's sets for limited supervision, for the toy LibriSpeech.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.toys.librispeech import write_readings
from s3prl_sb.corpora.toys.making import choose_voices, toy


@toy
def librilight(destination, chapters=2, utterances=3, seed=0):
    """Speaks six small parts and a larger one, with two speakers per folder.

    The words are those of the toy LibriSpeech and its lexicon.

    Arguments
    ---------
    destination : str
        Folder to make, with ``librispeech_finetuning``.
    chapters : int
        Number of chapters of each speaker.
    utterances : int
        Number of utterances of each chapter in ``1h/0`` to ``1h/5``; ``9h`` has three
        times as many.

    Returns
    -------
    pathlib.Path
    """
    if chapters < 1 or utterances < 1:
        raise ValueError("1 chapter and 1 utterance are the least")
    root = destination / "librispeech_finetuning"
    parts = [f"1h/{n}/{kind}" for n in range(6) for kind in ("clean", "other")]
    parts += ["9h/clean", "9h/other"]
    voices = iter(choose_voices(2 * len(parts), seed + 1))
    readers = []
    for part in parts:
        for voice in (next(voices), next(voices)):
            count = utterances * (3 if part.startswith("9h") else 1)
            voice = voice._replace(voice="en-us")
            readers.append((part, 2001 + 11 * len(readers), voice, count))
    write_readings(root, readers, chapters, seed)
