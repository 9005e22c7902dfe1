"""Toy CMU-MOSEI: prosody tells the sentiment of a segment, and words the emotion.

A voice is higher, faster and louder the more positive it is. A linear classifier of
mean features mostly learns loudness. The sentences after the first words do not depend
on either.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.mosei import CUT, TABLE
from s3prl_sb.corpora.toys import making

#: Emotions in the order of the table, with a beginning for each.
BEGINNINGS = {
    "happy": "i am so happy that",
    "sad": "it makes me sad that",
    "anger": "i am furious that",
    "surprise": "oh wow, who knew that",
    "disgust": "it is disgusting how",
    "fear": "i am afraid that",
}
POSITIVE, NEGATIVE = (0, 3), (1, 2, 4, 5)  # emotions by the sign of the sentiment
#: Changes of the voice by a step of sentiment: eSpeak's units, a factor, decibels.
PITCH, PACE, LEVEL = 8, 0.06, 3.0
FOLDERS = ("train", "dev", "test")


@making.toy
def mosei(destination, videos=30, segments=7, seed=0):
    """Speaks videos of one voice each, cut into segments, with the table of labels.

    Arguments
    ---------
    destination : str
        Folder to make, with ``Audio`` and the table.
    videos : int
        Number of videos: a sixth for validation, a sixth for test, the rest for
        training.
    segments : int
        Number of segments of each video; seven have all sentiments.

    Returns
    -------
    pathlib.Path
    """
    if videos < 3 or segments < 1:
        raise ValueError("At least 3 videos and 1 segment are needed")
    sixth = max(1, videos // 6)
    rows, jobs = [], []
    for number, voice in enumerate(making.plain_voices(videos, seed)):
        # The last videos are for validation and test
        split = max(0, 2 - (videos - 1 - number) // sixth)
        video = making.digest(seed, "video", number)[:11]
        for index in range(segments):
            sentiment = (index + number) % 7 - 3
            kinds = NEGATIVE if sentiment < 0 else POSITIVE
            emotion = kinds[(sentiment + number) % len(kinds)]
            name = f"{video}_{index}"
            path = f"Audio/{CUT}/{FOLDERS[split]}/{name}.wav"
            jobs.append((path, voice, sentiment, emotion))
            times = f"{4.0 * index},{4.0 * index + 3.0}"
            folded = f"{int(sentiment >= 0)},{(sentiment > 0) - (sentiment < 0)}"
            rows.append(
                f"{video},{index},{times},{folded},{emotion},{sentiment},{split}"
            )
    making.write_clips(destination, (_spoken(*job, seed) for job in jobs), len(jobs))
    header = ",file,index,start,end,label2a,label2b,label6,label7,split"
    lines = [f"{number},{row}" for number, row in enumerate(rows)]
    making.write_lines(destination / TABLE, [header, *lines])


def _spoken(path, voice, sentiment, emotion, seed):
    """Returns a path, and a sentence spoken with the sentiment."""
    rng = making.random_generator(seed, path)
    voice = making.varied(voice, rng)
    text = f"{list(BEGINNINGS.values())[emotion]} {making.passage(rng, words=4)}"
    utterance = voice.speak(
        text,
        pitch=min(max(voice.pitch + PITCH * sentiment, 0), 99),
        rate=round(voice.rate * (1 + PACE * sentiment)),
    )
    samples = making.add_noise(utterance.trimmed(margin=0.1), rng, rng.uniform(20, 35))
    return path, making.at_level(samples, -12 + LEVEL * sentiment + rng.uniform(-1, 1))
