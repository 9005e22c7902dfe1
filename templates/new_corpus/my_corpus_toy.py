"""Toy of my corpus: two words by six synthetic voices, in the layout of the original.

Authors
 * Me, 2026
"""

from s3prl_sb.corpora.toys.making import (
    at_level,
    plain_voices,
    toy,
    write_clips,
    write_lines,
)

WORDS = ("yes", "no")


@toy
def my_corpus(destination, speakers=6, seed=0):
    """Speaks the corpus.

    Arguments
    ---------
    destination : str
        Folder to make, with ``audio`` and ``labels.tsv``.
    speakers : int
        Number of speakers: six for each split to have one.
    seed : int
        Seed of their voices.

    Returns
    -------
    pathlib.Path
    """
    clips, lines = {}, []
    for number, voice in enumerate(plain_voices(speakers, seed), 1):
        for word in WORDS:
            wav = f"audio/s{number:02d}/{word}.wav"
            clips[wav] = at_level(voice.speak(word).trimmed(), -6)
            lines.append(f"{wav}\t{word}")
    write_clips(destination, clips.items(), len(clips))
    write_lines(destination / "labels.tsv", lines)
