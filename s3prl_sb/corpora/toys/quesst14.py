"""Toy QUESST 2014: sentences, and queries for their phrases by other voices.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making

QUERY_SLOTS = ("when", "who", "what", "where")  # phrases of queries
CZECH = (
    "dobré ráno|děkuji vám|kde je nádraží|máme nový dům|zítra bude pršet|"
    "ztratil jsem klíče|moje sestra čte knihu|vlak má zpoždění"
).split("|")


@making.toy
def quesst14(destination, documents=120, queries=16, others=6, seed=0):
    """Speaks documents and queries, in English and some Czech, with lists and truth.

    Arguments
    ---------
    destination : str
        Folder to make, with ``quesst14Database``.
    documents : int
        Number of English documents, sentences by different voices.
    queries : int
        Number of queries for development, and of those for evaluation, which have
        other phrases. Each is a phrase of some document, by a voice of no document.
    others : int
        Number of Czech documents, which SUPERB does not search; each set has half as
        many Czech queries.

    Returns
    -------
    pathlib.Path
    """
    if documents < 4 or not 1 <= queries <= 16 or others < 0:
        raise ValueError("From 4 documents, 1 to 16 queries and 0 others are needed")
    voices = making.choose_voices(min(160, documents + 2 * queries), seed)
    texts = {}  # path: text
    for i in range(documents):
        name = f"Audio/quesst14_{i + 1:05d}.wav"
        rng = making.random_generator(seed, name, "text")
        texts[name] = making.passage(rng, words=8)
    jobs = [
        (name, voices[i % (len(voices) - 2 * queries)], text, "nnenglish")
        for i, (name, text) in enumerate(texts.items())
    ]
    rng = making.random_generator(seed, "queries")
    phrases = [p for slot in QUERY_SLOTS for p in making.PHRASES[slot].split("|")]
    phrases = [p for p in phrases if any(_says(text, p) for text in texts.values())]
    if len(phrases) < 2 * queries:
        raise ValueError(
            f"{documents} documents hold {len(phrases)} phrases, not {2 * queries}: "
            "make more documents, or fewer queries"
        )
    chosen = [phrases[i] for i in rng.permutation(len(phrases))[: 2 * queries]]
    for n, (phrase, voice) in enumerate(zip(chosen, voices[-2 * queries :])):
        split = ("dev", "eval")[n % 2]
        name = f"{split}_queries/quesst14_{split}_{n // 2 + 1:04d}.wav"
        jobs.append((name, voice, phrase, "nnenglish"))
    for i in range(others):
        voice = voices[i]._replace(voice="cs")
        text = ", ".join(CZECH[(i + k) % len(CZECH)] for k in range(3))
        name = f"Audio/quesst14_{documents + i + 1:05d}.wav"
        jobs.append((name, voice, text, "czech"))
    for split in ("dev", "eval"):
        for i in range(others // 2):
            voice = voices[-1 - i]._replace(voice="cs")
            name = f"{split}_queries/quesst14_{split}_{queries + i + 1:04d}.wav"
            jobs.append((name, voice, CZECH[(2 * i) % len(CZECH)], "czech"))

    words = {}

    def clips():
        for name, voice, text, _ in jobs:
            utterance = voice.speak(text)
            words[name] = text, utterance
            is_document = name.startswith("Audio")
            samples = utterance.samples if is_document else utterance.trimmed()
            rng = making.random_generator(seed, name, "noise")
            samples = making.recorded(samples.astype(np.float64), rng, peak=(-15, -3))
            yield f"quesst14Database/{name}", samples

    making.write_clips(destination, clips(), len(jobs))
    scoring = destination / "quesst14Database/scoring"
    scoring.mkdir()
    homes = {"utterances": "Audio", "dev": "dev_queries", "eval": "eval_queries"}
    for key, home in homes.items():
        listed = [(n, language) for n, _, _, language in jobs if n.startswith(home)]
        lines = [f"quesst14Database/{name} {language}" for name, language in listed]
        making.write_lines(scoring / f"language_key_{key}.lst", lines)
    for split in ("dev", "eval"):
        truth = scoring / f"groundtruth_quesst14_{split}"
        truth.mkdir()
        making.write_lines(truth / f"quesst14_{split}.rttm", list(_rttm(words, split)))


def _says(text, phrase):
    """Returns whether a text has the words of a phrase in a row."""
    return f" {_plain(phrase)} " in f" {_plain(text)} "


def _plain(text):
    return " ".join(re.findall(r"\w+", text.lower()))


def _stem(name):
    return name.rpartition("/")[2].removesuffix(".wav")


def _rttm(words, split):
    """Yields a line for each document and a query in it."""
    documents = {n: said for n, said in words.items() if n.startswith("Audio")}
    for query, (phrase, _) in words.items():
        if not query.startswith(f"{split}_queries"):
            continue
        for document, (text, utterance) in documents.items():
            if _says(text, phrase):
                start, stop = _span(text, phrase, utterance)
                yield (
                    f"LEXEME {_stem(document)} 1 {start:.2f} {stop - start:.2f} "
                    f"{_stem(query)} lex <NA> <NA>"
                )


def _span(text, phrase, utterance):
    """Returns the start and stop of a phrase; connected words share an entry."""
    before = len(_plain(text).partition(_plain(phrase))[0].split())
    count = len(_plain(phrase).split())
    times = []
    for start, stop, entry in utterance.words:
        times += [(start, stop)] * max(1, len(_plain(entry).split()))
    times = times[before : before + count] or [
        (0, len(utterance.samples) / SAMPLE_RATE)
    ]
    return times[0][0], times[-1][1]
