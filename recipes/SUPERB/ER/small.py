"""A small corpus for SUPERB/ER."""

from clips import write


def corpus(folder):
    """Five sessions of a dialog of five turns, one of them of no class."""
    for session in range(1, 6):
        dialog, lines = f"Ses0{session}F_impro01", ["% [START - END] NAME EMOTION"]
        home = folder / f"Session{session}"
        for number, emotion in enumerate(("neu", "exc", "neu", "hap", "xxx")):
            turn = f"{dialog}_{'FM'[number % 2]}{number:03d}"
            wav = home / "sentences/wav" / dialog / f"{turn}.wav"
            write(wav, number % 2, 10 * session + number, seconds=0.3)
            lines.append(f"[{number}.0 - {number}.3]\t{turn}\t{emotion}\t[2, 2, 2]")
        table = home / f"dialog/EmoEvaluation/{dialog}.txt"
        table.parent.mkdir(parents=True)
        table.write_text("\n".join(lines) + "\n")
    return {}
