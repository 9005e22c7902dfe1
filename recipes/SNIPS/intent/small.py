"""A small corpus for SNIPS/intent."""

from clips import write

BUDGET = {
    "head": "{hidden_size: 8, num_heads: 2, ffn_size: 16}",
    "grad_accumulation_factor": 2,
    "warmup_steps": 1,
}
DROPOUT = True  # two processes draw other random numbers than one
COUNTS = {"train": 4, "valid": 2, "test": 4}
VOICES = ("Aditi", "Amy")


def corpus(folder):
    """Requests of two intents by two voices, and the tables."""
    (folder / "data/nlu_annotation").mkdir(parents=True)
    for place, (split, count) in enumerate(COUNTS.items()):
        lines = ["u_id\tintent"]
        for number in range(count):
            name = f"snips-{split}-{number}"
            lines.append(f"{name}\t{('PlayMusic', 'RateBook')[number % 2]}")
            for k, voice in enumerate(VOICES):
                wav = folder / f"audio_{voice}/snips/{name}.wav"
                write(wav, number % 2, 100 * k + 10 * place + number)
        (folder / "data/nlu_annotation" / split).write_text("\n".join(lines) + "\n")
    return {}
