"""A small corpus for LibriSpeech/ABX."""

import json

import pytest
from clips import read_table, write, write_table

UTTERANCES = {"valid": 4, "test": 5}
KILLS = [
    ("s3prl_sb.dataio.cache.FeatureCache.write", 1, "after"),
    ("s3prl_sb.analysis.abx.errors", 2, "after"),
    ("s3prl_sb.brains.results.write", 1, "before"),
]
HEADER = "#file onset offset #phone prev-phone next-phone speaker"
PHONES = ("AE", "IH")


def rows(name, speaker):
    """Items of an utterance: two phones in one context, twice."""
    times = [(0.0, 0.1, "AE"), (0.1, 0.2, "IH"), (0.2, 0.3, "AE"), (0.3, 0.4, "IH")]
    return [f"{name} {a} {b} {phone} K T {speaker}" for a, b, phone in times]


def corpus(folder):
    """Two parts of two speakers, and their items."""
    for part in ("dev-clean", "dev-other"):
        lines = [HEADER]
        for speaker in (19, 26):
            for number in range(2):
                name = f"{speaker}-198-{number:04d}"
                home = folder / part / f"{speaker}/198/{name}.flac"
                write(home, number, speaker + number)
                lines += rows(name, speaker)
        (folder / f"triphone-{part}.item").write_text("\n".join(lines) + "\n")
    return {}


def tables(folder):
    """Lists with a file more than has items, and their items."""
    given = {}
    for split, count in UTTERANCES.items():
        lines, paths = [HEADER], []
        for number in range(count + 1):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 3, number, seconds=0.45)
            paths.append((f"{split}-{number}", wav))
            lines += rows(f"{split}-{number}", number % 2) if number else []
        given[f"{split}_csv"] = write_table(
            folder / f"{split}.csv", ("id", "wav"), paths
        )
        given[f"{split}_items"] = folder / f"{split}.item"
        given[f"{split}_items"].write_text("\n".join(lines) + "\n")
    return given


def check(run_folder, model, folder):
    """Errors from the distances of the model, triple by triple."""
    items = [
        line.split() for line in (folder / "test.item").read_text().splitlines()[1:]
    ]
    frames = [
        model.frames_of_file(
            folder / f"test/{i[0].split('-')[1]}.wav", *map(float, i[1:3])
        )
        for i in items
    ]
    far = [[model.distance(x, y) for y in frames] for x in frames]
    places = range(len(items))
    phone, who = [i[3] for i in items], [i[6] for i in items]
    found = {}
    for task in ("within", "across"):
        for a, b in (PHONES, PHONES[::-1]):
            cells = {}
            for x in places:
                for j in places:
                    same = task == "within" and who[x] == who[j] and x != j
                    other = task == "across" and who[x] != who[j]
                    if phone[x] != a or phone[j] != a or not (same or other):
                        continue
                    for k in places:
                        if phone[k] != b or who[k] != who[j]:
                            continue
                        wrong = (far[x][j] > far[x][k]) + (far[x][j] == far[x][k]) / 2
                        cells.setdefault(who[j], []).append(wrong)
            means = [sum(cell) / len(cell) for cell in cells.values()]
            found[task, a, b] = sum(means) / len(means)
    table = read_table(run_folder / "predictions.csv")
    for row in table:
        expected = found[row["speakers"], row["phone"], row["other"]]
        assert float(row["error"]) == pytest.approx(expected, abs=2e-2)
    assert len(table) == len(found)
    results = json.loads((run_folder / "results.json").read_text())
    layers = read_table(run_folder / "layers.csv")
    best = min(layers, key=lambda row: float(row["valid_error"]))
    assert results["layers"] == [int(best["layer"])]
    assert results["metrics"]["error"] == pytest.approx(
        sum(found.values()) / 4, abs=2e-2
    )
