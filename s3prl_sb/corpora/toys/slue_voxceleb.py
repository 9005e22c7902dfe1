"""Toy SLUE-VoxCeleb: prosody tells the sentiment of an utterance.

A voice is lower and slower if it is negative, higher and faster if it is positive. An
utterance is a part of its recording, as in the corpus before it is cut.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.slue_voxceleb import LABELS, NAME
from s3prl_sb.corpora.slue_voxpopuli import NAMES
from s3prl_sb.corpora.toys import making

#: Changes of the voice by sentiment: eSpeak's units of pitch, a factor, decibels.
PITCH, PACE, LEVEL = 24, 0.18, 6.0
SILENCE = 0.2  # seconds around an utterance
COLUMNS = "id normalized_text sentiment start_second end_second".split()
SHARES = {"valid": 4, "test": 4}  # of how many speakers one is


@making.toy
def slue_voxceleb(destination, speakers=24, utterances=6, seed=0):
    """Speaks utterances of three sentiments, with the tables of the three splits.

    Arguments
    ---------
    destination : str
        Folder to make, with ``slue-voxceleb`` in it.
    speakers : int
        Number of speakers, from 4: a quarter each for validation and test.
    utterances : int
        Number of utterances of each speaker, from 3.
    seed : int
        Seed of sentences and voices.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 4 or utterances < 3:
        raise ValueError("At least 4 speakers and 3 utterances are needed")
    voices = list(making.plain_voices(speakers, seed))
    part, clips, rows = speakers // 4, [], {split: [COLUMNS] for split in NAMES}
    for number, voice in enumerate(voices):
        split = {0: "valid", 1: "test"}.get(number // part, "train")
        for index in range(utterances):
            name = f"id1{number:04d}_{index:05d}"
            path = f"{NAME}/{NAMES[split]}_raw/{name}.wav"
            clip, row = _spoken(path, voice, (index + number) % 3 - 1, seed)
            clips.append(clip)
            rows[split].append([name, *row])
    making.write_clips(destination, clips, len(clips))
    for split, lines in rows.items():
        path = destination / NAME / f"{NAME}_{NAMES[split]}.tsv"
        making.write_lines(path, ["\t".join(map(str, line)) for line in lines])


def _spoken(path, voice, sentiment, seed):
    """Returns a path with samples, and the cells of its row after the id."""
    import numpy as np

    rng = making.random_generator(seed, path)
    voice, text = making.varied(voice, rng), making.passage(rng, words=5)
    utterance = voice.speak(
        text,
        pitch=min(max(voice.pitch + PITCH * sentiment, 0), 99),
        rate=round(voice.rate * (1 + PACE * sentiment)),
    )
    speech = utterance.trimmed(0.05)
    pad = np.zeros(round(SILENCE * making.SAMPLE_RATE))
    samples = making.add_noise(np.concatenate([pad, speech, pad]), rng, 30)
    level = -12 + LEVEL * sentiment + rng.uniform(-1, 1)
    stop = SILENCE + len(speech) / making.SAMPLE_RATE
    row = [text.replace(",", ""), LABELS[sentiment + 1], SILENCE, round(stop, 3)]
    return (path, making.at_level(samples, level)), row
