"""Makes fixtures/word_attribution.json: random cpWER and tcpWER by meeteval.

    python tests/parity/make_word_attribution.py

needs `pip install meeteval==0.4.3`, in an environment of its own.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import random
from pathlib import Path

FIXTURE = Path(__file__).parent / "fixtures" / "word_attribution.json"
WORDS = "a by cat door eleven fourteen".split()
CASES = 120


def segments(draw, speakers, count, seconds):
    """Returns random segments: [speaker, start, stop, text], some empty."""
    rows = []
    for _ in range(count):
        start = round(draw.uniform(0, seconds), 2)
        stop = round(start + draw.uniform(0.05, 4), 2)
        text = " ".join(draw.choices(WORDS, k=draw.choice([0, 1, 1, 2, 3, 5])))
        rows.append([f"{draw.choice(speakers)}", start, stop, text])
    return rows


def altered(draw, rows):
    """Returns segments with other times, speakers and words."""
    names = {row[0]: f"s{number}" for number, row in enumerate(rows)}
    result = []
    for speaker, start, stop, text in rows:
        if draw.random() < 0.1:
            continue
        shift = draw.choice([0, 0, 0.3, -0.4, 7.0])
        words = [w for w in text.split() if draw.random() < 0.85]
        words = [w if draw.random() < 0.9 else draw.choice(WORDS) for w in words]
        speaker = names[speaker] if draw.random() < 0.95 else "s0"
        start, stop = round(max(0, start + shift), 2), round(stop + abs(shift), 2)
        result.append([speaker, start, stop, " ".join(words)])
    draw.shuffle(result)
    return result


def single_words(rows):
    """Returns a segment per word, one after another for each speaker."""
    result, ends = [], {}
    for speaker, _, _, text in sorted(rows, key=lambda row: row[1]):
        for word in text.split():
            start = ends.get(speaker, 0.0)
            ends[speaker] = round(start + 0.05 * len(word), 2)
            result.append([speaker, start, ends[speaker], word])
    return result


def seglst(rows):
    """Returns segments as meeteval takes them."""
    from meeteval.io import SegLST

    keys = ("speaker", "start_time", "end_time", "words")
    return SegLST([{**dict(zip(keys, row)), "session_id": "a"} for row in rows])


def numbers(errors):
    """Returns the counts of meeteval."""
    return {
        "insertions": errors.insertions,
        "deletions": errors.deletions,
        "substitutions": errors.substitutions,
        "tokens": errors.length,
        "assignment": [list(pair) for pair in errors.assignment],
    }


def main():
    """Writes the fixture."""
    from meeteval.wer import cp_word_error_rate
    from meeteval.wer.wer.time_constrained import tcp_word_error_rate

    cases = []
    for number in range(CASES):
        draw = random.Random(number)
        speakers = [f"r{n}" for n in range(draw.choice([1, 2, 2, 3, 5]))]
        true = segments(draw, speakers, draw.choice([0, 1, 3, 8, 20]), 30)
        predicted = altered(draw, true)
        if number % 3 == 0:
            others = [f"h{n}" for n in range(draw.choice([1, 2, 4]))]
            predicted = segments(draw, others, draw.choice([0, 2, 10]), 30)
        if number % 4 == 0:
            true, predicted = single_words(true), single_words(predicted)
        collar = draw.choice([0.5, 1, 5])
        pair = seglst(true), seglst(predicted)
        cp, tcp = cp_word_error_rate(*pair), tcp_word_error_rate(*pair, collar=collar)
        cases.append(
            {
                "true": true,
                "predicted": predicted,
                "collar": collar,
                "cp": numbers(cp),
                "tcp": numbers(tcp),
            }
        )
    FIXTURE.write_text(json.dumps(cases, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
