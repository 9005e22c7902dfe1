"""Toy IEMOCAP: five couples with emotions by pitch, pace, melody and loudness.

The sentences do not depend on the emotion. Emotions differ in four settings, roughly as
in human speech (Juslin and Laukka 2003,
https://doi.org/10.1037/0033-2909.129.5.770): anger and joy are high, fast, lively and
loud, sadness is low, slow, flat and soft. A linear classifier of mean features mostly
learns loudness.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

from s3prl_sb.corpora.toys import making


class Manner(NamedTuple):
    """Changes of a voice by an emotion; the evaluators' word, valence, activation.

    ``pitch`` and ``melody`` (its range) are eSpeak's units, ``pace`` a factor, ``peak``
    in decibels relative to full scale.
    """

    pitch: int
    melody: int
    pace: float
    peak: float
    word: str
    valence: float
    activation: float


MANNERS = {
    "neu": Manner(0, 0, 1.0, -13, "Neutral", 3.0, 2.5),
    "hap": Manner(20, 25, 1.15, -8, "Happiness", 4.5, 3.5),
    "exc": Manner(25, 30, 1.25, -7, "Excited", 4.5, 4.0),
    "ang": Manner(10, 15, 1.3, -1, "Anger", 1.5, 4.0),
    "sad": Manner(-15, -25, 0.75, -22, "Sadness", 2.0, 2.0),
    "fru": Manner(5, 10, 1.1, -6, "Frustration", 2.0, 3.0),  # in no class
}
TIMBRES = {"f": "f1 f2 f3 f5 Annie".split(), "m": "m1 m2 m3 m4 m7".split()}
#: The classes are equally frequent: joy has two names
TURNS = ("neu", "ang", "sad", "hap", "neu", "ang", "sad", "exc", "fru")


@making.toy
def iemocap(destination, turns=9, dialogs=4, seed=0):
    """Speaks sessions of a woman and a man, in dialogs and turns, with evaluations.

    Arguments
    ---------
    destination : str
        Folder to make, with ``Session1`` to ``Session5``.
    turns : int
        Number of turns of each actor in a dialog; eight of nine are in the four
        classes.
    dialogs : int
        Number of dialogs of each session, alternately improvised and scripted.

    Returns
    -------
    pathlib.Path
    """
    if turns < 1 or dialogs < 1:
        raise ValueError("At least 1 turn and 1 dialog are needed")
    voices = {"f": [], "m": []}  # ordinary ones, in one accent
    for voice in making.choose_voices(60, seed):
        alike = voices[voice.gender]
        variant = TIMBRES[voice.gender][len(alike) % len(TIMBRES[voice.gender])]
        alike.append(voice._replace(voice="en-us", variant=variant))
    jobs = []  # path, voice, manner
    for session in range(1, 6):
        couple = {"F": voices["f"][session - 1], "M": voices["m"][session - 1]}
        for number in range(dialogs):
            kind = (f"impro{number // 2 + 1:02d}", f"script{number // 2 + 1:02d}_1")
            dialog = f"Ses0{session}{'FM'[number // 2 % 2]}_{kind[number % 2]}"
            home, lines = f"Session{session}", [HEADING]
            for n in range(turns):
                for actor, voice in couple.items():
                    shift = n + 3 * (actor == "M") + number
                    emotion = TURNS[shift % len(TURNS)]
                    turn = f"{dialog}_{actor}{n:03d}"
                    path = f"{home}/sentences/wav/{dialog}/{turn}.wav"
                    jobs.append((path, voice, MANNERS[emotion]))
                    lines += _evaluation(turn, emotion, 4 * n + 2 * (actor == "M"))
            folder = destination / home / "dialog/EmoEvaluation"
            folder.mkdir(parents=True, exist_ok=True)
            making.write_lines(folder / f"{dialog}.txt", lines)
    making.write_clips(destination, (acted(*job, seed) for job in jobs), len(jobs))


HEADING = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"


def _evaluation(turn, emotion, start):
    """Yields the lines of a turn: the majority's label, and one evaluator's."""
    manner = MANNERS[emotion]
    values = f"{manner.valence:.4f}, {manner.activation:.4f}, 3.0000"
    yield ""
    yield f"[{start:.4f} - {start + 2:.4f}]\t{turn}\t{emotion}\t[{values}]"
    yield f"C-E1:\t{manner.word};\t()"


def acted(path, voice, manner, seed):
    """Speaks a made-up sentence in a manner.

    Arguments
    ---------
    path : str
        Name of the clip, which its random numbers depend on.
    voice : s3prl_sb.corpora.espeak.Voice
        The voice.
    manner : Manner
        Its changes.
    seed : int
        Seed of the clips.

    Returns
    -------
    path : str
    samples : numpy.ndarray
        [samples], at 16 kHz.
    """
    rng = making.random_generator(seed, path)

    def near(value, spread, low, high):
        return int(min(max(value + rng.integers(-spread, spread + 1), low), high))

    utterance = voice.speak(
        making.passage(rng, words=5),
        rate=near(voice.rate * manner.pace, 10, 80, 450),
        pitch=near(voice.pitch + manner.pitch, 5, 0, 99),
        pitch_range=near(voice.pitch_range + manner.melody, 8, 0, 99),
    )
    samples = utterance.trimmed(margin=0.1)
    samples = making.add_noise(samples, rng, snr=rng.uniform(20, 35))
    return path, making.at_level(samples, manner.peak + rng.uniform(-2.5, 0.9))
