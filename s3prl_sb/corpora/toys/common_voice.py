"""Toy Common Voice: sentences in Spanish, Mandarin and Arabic, and a toy SBCSAE.

eSpeak speaks all of them. Clips are MP3 at 32 kHz, tables have the columns of release
7.0, and some sentences are to be left out: other accents, other scripts.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.common_voice import ACCENTS, CLIPS
from s3prl_sb.corpora.sbcsae import SPLITS as CONVERSATIONS
from s3prl_sb.corpora.toys import making

RATE = 32000  # Hz
COLUMNS = (
    "client_id path sentence up_votes down_votes age gender accent locale segment"
).split()
#: Voices of eSpeak by language.
VOICES = {"es": "es-419", "zh-CN": "cmn", "ar": "ar"}
#: Who, did what, to what, where, in the order of a sentence.
PHRASES = {
    "es": (
        "mi hermana|el capitán|un niño|nadie|la maestra|nuestro vecino",
        "pintó|compró|olvidó|vendió|encontró|quería",
        "la bicicleta azul|siete cartas|el puente|una caja|los libros|un mapa",
        "en la estación|cerca del río|detrás de la casa|en el jardín|hoy|mañana",
    ),
    "zh-CN": (
        "老师|我妹妹|小王|那个人|船长",
        "买了|找到|忘了|卖了|喜欢",
        "七封信|地图|自行车|一本书|苹果",
    ),
    "ar": (
        "المعلم|الطالب|الجار|القبطان|الطبيب",
        "باع|وجد|نسي|اشترى|حمل",
        "سبع رسائل|الكتاب|خريطة|المفتاح|صورة",
        "في المكتبة|قرب النهر|في البيت|أمام المحطة",
    ),
}
MARKS = {"es": ("¿{}?", "{}.", "¡{}!"), "zh-CN": ("{}。", "{}！"), "ar": ("{}.", "{}؟")}
#: A sentence that the protocol leaves out; none of Spanish, which has other accents.
STRAY = {"zh-CN": "小王喜欢 iPhone。", "ar": "باع iPhone."}
SHARES = {"train": 0.75, "dev": 0.125, "test": 0.125}
#: Annotation of SBCSAE around words, which is to be removed.
TALK = ("{}", ".. {} ,", "(H) {} --", "{} .", "@@ {}")


@making.toy
def common_voice(destination, clips=64, conversations=4, turns=12, seed=0):
    """Speaks three languages and some conversations.

    Arguments
    ---------
    destination : str
        Folder to make, with ``es``, ``zh-CN``, ``ar`` and ``SBCSAE``.
    clips : int
        Number of clips of each language, from 8: three quarters for training.
    conversations : int
        Number of conversations of SBCSAE for training; there is one more for each of
        validation and test.
    turns : int
        Number of turns of each conversation.

    Returns
    -------
    pathlib.Path
    """
    if clips < 8 or conversations < 1 or turns < 2:
        raise ValueError("8 clips, 1 conversation and 2 turns are the least")
    total = clips * len(VOICES) + (conversations + 2) * turns
    bar = iter(making.shown(range(total), total))
    for language in VOICES:
        _language(destination / language, language, clips, seed, bar)
    _conversations(destination / "SBCSAE", conversations, turns, seed, bar)
    next(bar, None)


def _language(folder, language, clips, seed, bar):
    """Writes the clips and tables of a language."""
    rows, speakers = {name: [] for name in SHARES}, max(4, clips // 8)
    voices = list(making.plain_voices(speakers, seed))
    sizes = [round(clips * share) for share in list(SHARES.values())[1:]]
    names = ["dev"] * sizes[0] + ["test"] * sizes[1]
    names += ["train"] * (clips - len(names))
    # Speakers of a split are its own
    of_split = {"dev": [0], "test": [1], "train": range(2, speakers)}
    for number, name in enumerate(names):
        next(bar)
        rng = making.random_generator(seed, language, number)
        who = of_split[name][number % len(of_split[name])]
        text = _sentence(language, rng)
        voice = making.varied(voices[who]._replace(voice=VOICES[language]), rng)
        samples = making.recorded(voice.speak(text).trimmed(0.1), rng, (20, 40))
        path = f"common_voice_{language}_{18300000 + number}.mp3"
        making.write_mp3(folder / CLIPS / path, samples, RATE)
        accent = ACCENTS[language][0] if language in ACCENTS else ""
        if number % 8 == 7:  # to be left out
            text, accent = STRAY.get(language, text), accent and "andino"
        cells = [
            making.digest(seed, language, who) * 2,
            path,
            text,
            2,
            0,
            "",
            "",
            accent,
        ]
        rows[name].append("\t".join(map(str, [*cells, language, ""])))
    rows["validated"] = [row for each in rows.values() for row in each]
    for name, lines in rows.items():
        making.write_lines(folder / f"{name}.tsv", ["\t".join(COLUMNS), *lines])


def _sentence(language, rng):
    words = [rng.choice(group.split("|")) for group in PHRASES[language]]
    text = ("" if language == "zh-CN" else " ").join(words)
    return rng.choice(MARKS[language]).format(text[0].upper() + text[1:])


def _conversations(folder, conversations, turns, seed, bar):
    """Writes recordings of conversations and their transcripts."""
    import numpy as np

    voices = list(making.plain_voices(8, seed))
    train, *others = CONVERSATIONS.values()
    for index in [*train[:conversations], *(numbers[0] for numbers in others)]:
        rng = making.random_generator(seed, "conversation", index)
        pieces, lines, now = [], [], 0.0
        for turn in range(turns):
            next(bar)
            voice = voices[(2 * index + turn % 2) % len(voices)]
            text = making.passage(rng, words=3).replace(",", "")
            samples = voice.speak(text).trimmed(0.05)
            start, now = now, now + len(samples) / making.SAMPLE_RATE
            said = rng.choice(TALK).format(text)
            lines.append(f"{start:.2f} {now:.2f}\t{'AB'[turn % 2]}:\t{said}")
            pieces.append(samples)
        samples = making.recorded(np.concatenate(pieces), rng, (20, 30))
        making.write_mp3(folder / "mp3" / f"{index:02d}.mp3", samples, RATE)
        (folder / "trn").mkdir(exist_ok=True)
        making.write_lines(folder / "trn" / f"SBC{index:03d}.trn", lines)
