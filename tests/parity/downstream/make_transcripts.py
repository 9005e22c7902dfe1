"""Makes fixtures/transcripts.json from S3PRL 0.4.18, in its environment (make.py).

    pip install sacremoses
    PYTHONPATH=benchmarks s3prl-env/bin/python \\
        tests/parity/downstream/make_transcripts.py S3PRL SBCSAE-preprocess

S3PRL is a checkout, as its wheel lacks the scripts that prepare data; the other one is
of github.com/vectominist/SBCSAE-preprocess. It has sentences and the output of these
scripts for them, and the tokens of S3PRL's text encoder with its own vocabularies.
"""

import csv
import importlib.util
import io
import json
import random
import sys
import types
from pathlib import Path
from unittest import mock

import peer_stand_ins  # noqa: F401  (stands in for what torchaudio removed)
from s3prl.downstream.ctc.text import CharacterTextEncoder

PEER, SBCSAE = map(Path, sys.argv[1:])
SENTENCES = {
    "es": [
        "¿Qué haces, niño?",
        "«Sí»—dijo él…",
        "El «ゴ» 消",
        "50 % de los días",
        "  ",
    ],
    "en": ["Don't go, it’s 5 p.m.", "“Well,” he said – no!", "café", "plain words"],
    "ar": [
        "هل أنت بخير؟",
        "نعم، أنا بخير؛ شكراً!",
        "اسمه John",
        "قال: «لا».",
        "١٢ كتاب",
    ],
    "zh-CN": [
        "你好，世界！",
        "我用 iPhone。",
        "第ㄧ次",
        "他说：“不”。",
        "オカド",
        "《书》·名",
    ],
    "ja": ["「コーヒー」をください。", "ー・丶", "ABC"],
    "ru": ["Да — нет!", "It's", "Ёлка, ёлка…"],
}
PAIRS = [
    ("Hello , world .", "Hallo , Welt ."),
    ("I do n't know ( really ) ?", "Ich weiß es nicht (wirklich)?"),
    ("“Yes”, she said: it's 5 %.", "„Ja“, sagte sie: es sind 5 %."),
    ("one", "eins zwei drei vier fünf sechs"),
    ("REMOVE", "eins"),
    ("a `quoted' word…", "ein « zitiertes » Wort…"),
    ("full－width：（１２）", "Straße – 1\u00a0000, z.\u00a0B."),
    ("state-of-the-art, isn't it?", '"Gut", sagte er. "Nein."'),
]
TURNS = """0.00 1.20\tALICE: \t.. (H) So=, what's that?
1.10 2.50\tBOB:   \tI [don't know].
2.50 3.00\tBOB:\t@@ Yeah .
3.00 4.25\tALICE:\t<X maybe X> not
4.25 5.00\tXX and so on
5.00 5.05\tBOB:\ttoo short
5.50\t7.00\tBOB:\tAn- another way -- of (SNIFF) writing it,
7.00 9.00\tALICE:\tnumber 5
9.00 30.00\tALICE:\ttoo long a turn
10.00 11.00\tBOB:\tfirst of two
10.50 12.00\tALICE:\tthat overlap
12.00 13.00\tBOB:\tX marks it
13.00 14.00 BOB:\tthe ~Name #here & "there"
no times at all
14.00 15.00\tALICE:\t’Tis (unbalanced
15.00 16.50\tBOB:\tthe end"""


def script(path, stand_ins):
    """Imports a script without the libraries that it reads audio with."""
    modules = {name: types.ModuleType(name) for name in stand_ins}
    for module in modules.values():
        module.MP3 = module.resample = None
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, modules):
        spec.loader.exec_module(module)
    return module


def table(rows, names):
    """Returns a table as the scripts of CoVoST 2 write it."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerows([names, *rows])
    return file.getvalue()


def cleaned(folder):
    """Returns the pairs that S3PRL's scripts keep, as they write them."""
    path = folder / "pairs.tsv"
    rows = [(str(n), *pair) for n, pair in enumerate(PAIRS)]
    path.write_text(table(rows, ("id", "src_text", "tgt_text")))
    source = ["src_text", "--lowercase", "--remove-punctuation", "--lang", "en"]
    for name, options in (
        ("prepare_clean_paired_corpus", ["--min", "1", "--ratio", "5"]),
        ("prepare_normalize_tsv", [*source, "--normalize"]),
        ("prepare_normalize_tsv", ["tgt_text", "--normalize", "--lang", "de"]),
    ):
        file = PEER / f"s3prl/downstream/speech_translation/prepare_data/{name}.py"
        line = [str(file), str(path), str(path), *options, "--overwrite"]
        program = compile(file.read_text(), str(file), "exec")
        with mock.patch.object(sys, "argv", line):
            exec(program, {"__name__": "__main__"})
    rows = csv.reader(io.StringIO(path.read_text()), delimiter="\t", quotechar=None)
    return {number: texts for number, *texts in list(rows)[1:]}


def main():
    folder = Path(__file__).parent / "fixtures"
    ctc = PEER / "s3prl/downstream/ctc"
    ours = script(ctc / "corpus/common_voice_preprocess.py", ["mutagen", "mutagen.mp3"])
    draws = random.Random(0)
    normalized, vocabularies = {}, {}
    for language, sentences in SENTENCES.items():
        vocabulary = ctc / f"cv_vocab/{language}_char.txt"
        if vocabulary.is_file() and language != "zh-CN":  # 4317 characters
            encoder = CharacterTextEncoder.load_from_file(vocabulary)
            tokens = encoder._vocab_list[3:]
            text = "".join(draws.sample(tokens, len(tokens)))
            vocabularies[language] = {"text": text, "tokens": encoder.encode(text)}
            pool = text + ours.rm_punctuation
            sentences += ["".join(draws.choices(pool, k=12)) for _ in range(12)]
        normalized[language] = [[s, ours.normalize(s, language)] for s in sentences]
    preprocess = script(SBCSAE / "preprocess.py", ["torchaudio", "librosa"])
    work = folder / "work"
    work.mkdir()
    (work / "SBC001.trn").write_text(TURNS)
    turns, _ = preprocess.read_trn(str(work / "SBC001.trn"), "SBC001")
    values = {
        "normalized": normalized,
        "vocabularies": vocabularies,
        "pairs": PAIRS,
        "cleaned": cleaned(work),
        "turns": TURNS,
        "read": [[t["t_begin"], t["t_end"], t["sentence"], t["name"]] for t in turns],
    }
    for file in work.iterdir():
        file.unlink()
    work.rmdir()
    text = json.dumps(values, ensure_ascii=False, indent=1)
    (folder / "transcripts.json").write_text(text + "\n")


main()
