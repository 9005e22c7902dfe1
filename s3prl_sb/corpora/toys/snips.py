"""Toy SNIPS: the requests of the toy Audio SNIPS in the layout of the published corpus.

The recordings are MP3 at 22.05 kHz, as there.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.snips import TABLES, TRAIN_SPEAKERS
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.audio_snips import requests, voices_by_name

PUBLISHED_RATE = 22050  # Hz


@making.toy
def snips(destination, train=120, valid=20, test=20, seed=0):
    """Speaks every request with the two voices that S3PRL takes.

    Arguments
    ---------
    destination : str
        Folder to make, with ``data`` and a folder for each voice.
    train, valid, test : int
        Number of requests of each split; no request is in two splits.

    Returns
    -------
    pathlib.Path
    """
    counts = {"train": train, "valid": valid, "test": test}
    if min(counts.values()) < 1 or sum(counts.values()) > 400:
        raise ValueError("at least 1 request in each split, and at most 400 in all")
    made, voices, jobs = requests(sum(counts.values()), seed), voices_by_name(seed), []
    (destination / TABLES).mkdir(parents=True)
    for split, count in counts.items():
        lines = ["u_id\tutterance\tslot-labels\tintent"]
        for number in range(count):
            intent, words, tags = next(made)
            name, text = f"snips-{split}-{number}", " ".join(words)
            slots = [f"{intent}/{tag}" if tag != "O" else tag for tag in tags]
            lines.append("\t".join([name, text, " ".join(slots), intent]))
            jobs += [(speaker, name, text) for speaker in TRAIN_SPEAKERS]
        making.write_lines(destination / TABLES / split, lines)
    for speaker, name, text in making.shown(jobs):
        rng = making.random_generator(seed, speaker, name)
        samples = making.varied(voices[speaker], rng).speak(text).trimmed(margin=0.1)
        samples = making.recorded(samples, rng, (25, 45), (-12, -3), "pink_noise")
        path = destination / f"audio_{speaker}" / "snips" / f"{name}.mp3"
        making.write_mp3(path, samples, PUBLISHED_RATE)
