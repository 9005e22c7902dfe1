"""Toy ML-SUPERB: eSpeak speaks the languages of the monolingual track, and few-shot
ones.

Every language has a source or more, and a small set of words of its own. eSpeak does
not speak Mixtec: its words are spoken by a voice of Nahuatl.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.ml_superb import DURATIONS, MONOLINGUAL, few_shot_utterances
from s3prl_sb.corpora.toys import making

#: Languages to a voice of eSpeak, and words.
WORDS = {
    "eng": ("en-us", "the river|a letter|my sister|found|in the garden|seven|was late"),
    "fra": ("fr-fr", "la rivière|une lettre|ma sœur|a trouvé|au jardin|sept|en retard"),
    "deu": (
        "de",
        "der Fluss|einen Brief|meine Schwester|fand|im Garten|sieben|zu spät",
    ),
    "rus": ("ru", "река|письмо|моя сестра|нашла|в саду|семь|поздно"),
    "swa": ("sw", "mto|barua|dada yangu|alipata|bustanini|saba|amechelewa"),
    "swe": ("sv", "floden|ett brev|min syster|hittade|i trädgården|sju|för sent"),
    "jpn": ("ja", "かわ|てがみ|いもうと|みつけた|にわで|なな|おそい"),
    "cmn": ("cmn", "河|一封信|我妹妹|找到了|在花园里|七|晚了"),
    "xty": ("nci", "yuta|tutu|ku'vi|nani'i|itu|uxa|kuee"),
    "dan": ("da", "floden|et brev|min søster|fandt|i haven|syv|for sent"),
    "epo": ("eo", "la rivero|leteron|mia fratino|trovis|en ĝardeno|sep|malfrue"),
}
#: Few-shot languages to their sources; the others are of the monolingual track.
FEW_SHOT_SOURCES = {"dan": "NST", "epo": "commonvoice"}
PREFIXES = {"commonvoice": "cv"}  # of ids, where the folder has another name


@making.toy
def ml_superb(destination, utterances=24, languages="all", seed=0):
    """Speaks sources and languages, with the lists of ten minutes and of an hour.

    Arguments
    ---------
    destination : str
        Folder to make.
    utterances : int
        Number of utterances of each source and language, from 8: a quarter each for
        development and test. The list of ten minutes has half of those for training.
    languages : list of str or str
        Languages, such as "eng"; default: nine of the monolingual track and two
        few-shot ones.
    seed : int
        Seed of texts and voices.

    Returns
    -------
    pathlib.Path
    """
    if utterances < 8:
        raise ValueError("At least 8 utterances are needed")
    wanted = list(WORDS) if languages == "all" else list(languages)
    homes = [(source, name[:3]) for name, source in MONOLINGUAL.items()]
    homes += [(source, language) for language, source in FEW_SHOT_SOURCES.items()]
    homes = [home for home in homes if home[1] in wanted]
    clips, voices = [], list(making.plain_voices(2 * len(homes), seed))
    for number, (source, language) in enumerate(homes):
        speakers = voices[2 * number : 2 * number + 2]
        texts = _lists(destination / source / language, utterances, seed)
        clips += [(path, language, text, speakers) for path, text in texts.items()]
    spoken = (_spoken(*clip, seed) for clip in clips)
    making.write_clips(destination, spoken, len(clips))


def _lists(home, utterances, seed):
    """Writes the lists of a source and a language; returns {path: text}."""
    source, language = home.parts[-2:]
    (home / "wav").mkdir(parents=True)
    numbers = _numbers(source, language, utterances)
    texts, lines = {}, []
    for number in numbers:
        name = f"{PREFIXES.get(source, source)}_{language}_{number:06d}"
        rng = making.random_generator(seed, name)
        text = _sentence(language, rng)
        texts[f"{source}/{language}/wav/{name}.wav"] = text
        lines.append(f"{name} {name} {text}")
    part = utterances // 4
    splits = {"dev": lines[:part], "test": lines[part : 2 * part]}
    for minutes in DURATIONS:
        train = lines[2 * part :]
        splits["train"] = train if minutes == "1h" else train[: (len(train) + 1) // 2]
        for split, rows in splits.items():
            making.write_lines(home / f"transcript_{minutes}_{split}.txt", rows)
    return texts


def _numbers(source, language, count):
    """Returns numbers of utterances; those that few-shot training takes come after
    development and test."""
    prefix = f"{PREFIXES.get(source, source)}_{language}_"
    kept = sorted(n for n in few_shot_utterances() if n.startswith(prefix))
    chosen = [int(name[len(prefix) :]) for name in kept]
    others = (n for n in range(1, 10**6) if n not in chosen)
    first = [next(others) for _ in range(count // 4 * 2)]
    rest = (chosen + [next(others) for _ in range(count)])[: count - len(first)]
    return first + rest


def _sentence(language, rng):
    """Makes up a text of three phrases, with punctuation."""
    phrases = rng.choice(WORDS[language][1].split("|"), 3, replace=False)
    gap = "" if language in ("jpn", "cmn") else " "
    return gap.join(phrases) + rng.choice([".", "!", ""])


def _spoken(path, language, text, voices, seed):
    """Returns a path, and a text spoken by one of two voices."""
    rng = making.random_generator(seed, path)
    voice = making.varied(voices[int(rng.integers(2))], rng)
    samples = voice._replace(voice=WORDS[language][0]).speak(text).trimmed(0.1)
    return path, making.recorded(samples, rng)
