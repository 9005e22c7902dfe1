"""LibriSpeech's train-clean-100 with CPC's files, of tones."""

from tones import recording

NUMBERS = {"low": "7", "high": "12"}


def corpus(folder):
    """Two speakers of a chapter, with the lists and the alignments of CPC."""
    lists = {"train": [], "test": []}
    alignments = []
    for speaker in ("19", "26"):
        for number in range(8):
            name = f"{speaker}-100-{number:04d}"
            wav = folder / f"LibriSpeech/train-clean-100/{speaker}/100/{name}.flac"
            frames = [name]
            for label, start, stop in recording(wav, number + int(speaker)):
                frames += [NUMBERS[label]] * (round(100 * stop) - round(100 * start))
            alignments.append(" ".join(frames))
            lists["test" if number > 5 else "train"].append(name)
    for name, lines in {
        "train_split.txt": lists["train"],
        "test_split.txt": lists["test"],
        "converted_aligned_phones.txt": alignments,
    }.items():
        (folder / "LibriSpeech" / name).write_text("\n".join(lines) + "\n")
    return {"valid_share": 0.3}
