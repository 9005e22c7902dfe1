"""Makes fixtures/abx.json: ABX errors by zerospeech-libriabx2.

    python tests/parity/make_abx.py FOLDER

needs `pip install zerospeech-libriabx2`, in an environment of its own; FOLDER is one
for the features. Items and features are made of a seed here and in test_abx.py, so that
the fixture holds errors alone.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import sys
from pathlib import Path

import numpy

FIXTURE = Path(__file__).parent / "fixtures" / "abx.json"
STRIDE = 0.02  # seconds
SIZE = 12
#: Limit of other speakers, above their number so that none is left out by chance.
SPEAKERS = 50


def corpus(seed, utterances=12, phones=5, contexts=3, speakers=4):
    """Returns features {name: [frames, size]}, and rows of an .item file."""
    random = numpy.random.default_rng(seed)
    centres = random.standard_normal((phones, SIZE))
    features, rows = {}, []
    for number in range(utterances):
        frames = random.standard_normal((200, SIZE))
        for start in numpy.cumsum(random.uniform(0.1, 0.3, 14)).tolist():
            stop = start + random.uniform(0.04, 0.2)
            phone, context = random.integers(phones), random.integers(contexts)
            frames[round(start * 50) : round(stop * 50)] += 0.8 * centres[phone]
            times = f"{start:.4f} {stop:.4f}"
            speaker = number % speakers
            rows.append(
                f"u{number:02} {times} p{phone} c{context} d{context} s{speaker}"
            )
        frames[7] = 0  # a frame without a direction
        features[f"u{number:02}"] = frames.astype("float32")
    return features, rows


def main(folder):
    """Writes the fixture."""
    from zrc_abx2.eval_ABX import EvalABX, EvalArgs

    errors = {}
    for seed in range(3):
        features, rows = corpus(seed)
        place = Path(folder, str(seed))
        place.mkdir(parents=True)
        for name, frames in features.items():
            numpy.save(place / f"{name}.npy", frames)
        items = place / "test-items.item"
        items.write_text("\n".join(["#file onset offset #phone …", *rows, ""]))
        results = EvalABX().eval_abx(
            EvalArgs(
                path_data=str(place),
                path_item_file=str(items),
                feature_size=STRIDE,
                max_size_group=1000,
                max_x_across=SPEAKERS,
            )
        )
        errors[seed] = {
            f"{r['abx-s-condition']} {r['abx-c-condition']}": r["score"]
            for r in results
        }
    FIXTURE.write_text(json.dumps(errors, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
