"""Toy ATIS: questions about flights, with their intents and slots.

The questions are made up here, in the style of the corpus.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.corpora.atis import FOLDERS, LISTS
from s3prl_sb.corpora.toys import making

QUESTIONS = {
    "atis_flight": "show me flights from {from} to {to}|i want to fly from {from} to "
    "{to} on {day}|is there a flight to {to} in the {time}",
    "atis_airfare": "how much is a ticket from {from} to {to}|what is the cheapest "
    "fare to {to}|give me the fares to {to} on {day}",
    "atis_ground_service": "what ground transportation is there in {to}|how do i get "
    "downtown in {to}|can i rent a car in {to}",
    "atis_airline": "which airlines fly from {from} to {to}|which airline is {line}",
    "atis_abbreviation": "what does {code} mean|explain the code {code}",
    "atis_flight_time": "when does the {line} flight to {to} leave|what are the "
    "departure times from {from} on {day}",
}
CITIES = "boston|denver|atlanta|dallas|san francisco|pittsburgh|baltimore"
SLOTS = {  # names in the questions to the slot and its values
    "from": ("fromloc.city_name", CITIES),
    "to": ("toloc.city_name", CITIES),
    "day": ("depart_date.day_name", "monday|wednesday|saturday"),
    "time": ("depart_time.period_of_day", "morning|evening|afternoon"),
    "line": ("airline_name", "delta|united airlines|northwest"),
    "code": ("fare_basis_code", "a p|q x|y n|f"),
}


@making.toy
def atis(destination, train=240, valid=30, test=30, speakers=12, seed=0):
    """Asks the questions of each split, each by one of the voices.

    Arguments
    ---------
    destination : str
        Folder to make, with ``train``, ``dev``, ``test`` and ``nlu_iob``.
    train, valid, test : int
        Number of questions of each split.
    speakers : int
        Number of voices, which all splits share.

    Returns
    -------
    pathlib.Path
    """
    counts = {"train": train, "valid": valid, "test": test}
    if min(counts.values()) < 1 or speakers < 1:
        raise ValueError("at least 1 question in each split and 1 voice are needed")
    voices, jobs = list(making.plain_voices(speakers, seed)), []
    (destination / LISTS).mkdir()
    for split, count in counts.items():
        folder, lines = FOLDERS[split], []
        for number in range(count):
            name = f"{folder}{number:04d}"
            rng = making.random_generator(seed, name)
            intent, words, tags = _question(number, rng)
            jobs.append((f"{folder}/{name}.wav", voices[number % speakers], words))
            text = " ".join([name, "BOS", *words, "EOS"])
            lines.append(f"{text}\t{' '.join(['O', *tags, intent])}")
        making.write_lines(destination / LISTS / f"iob.{folder}", lines)
    making.write_clips(destination, (_spoken(*job, seed) for job in jobs), len(jobs))


def _question(number, rng):
    """Returns an intent, the words of a question, and a tag for each word."""
    intent = list(QUESTIONS)[number % len(QUESTIONS)]
    words, tags = [], []
    for piece in re.findall(r"\{\w+\}|[^ ]+", rng.choice(QUESTIONS[intent].split("|"))):
        slot, values = SLOTS[piece.strip("{}")] if "{" in piece else ("", piece)
        value = str(rng.choice(values.split("|"))).split()
        words += value
        marks = ["B"] + ["I"] * (len(value) - 1)
        tags += [f"{mark}-{slot}" if slot else "O" for mark in marks]
    return intent, words, tags


def _spoken(path, voice, words, seed):
    """Returns a path and its question, as recorded with some noise."""
    rng = making.random_generator(seed, path)
    samples = making.varied(voice, rng).speak(" ".join(words)).trimmed(margin=0.1)
    return path, making.recorded(samples, rng)
