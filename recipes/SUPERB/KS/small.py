"""A small corpus for SUPERB/KS."""

from clips import write


def corpus(folder):
    """Two folders of words, with lists."""
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for label, word in enumerate(("cat", "dog")):
        for number in range(8):
            name = f"{word}/{number:08x}_nohash_0.wav"
            write(folder / name, label, number)
            if number < 4:
                list(lists.values())[number % 2].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return {"labels": "folders", "version": "v0.02"}
