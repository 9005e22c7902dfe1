"""A small corpus for ATIS/intent."""

from clips import write

BUDGET = {
    "head": "{hidden_size: 8, num_heads: 2, ffn_size: 16}",
    "grad_accumulation_factor": 2,
    "warmup_steps": 1,
}
DROPOUT = True  # two processes draw other random numbers than one
COUNTS = {"train": 8, "dev": 4, "test": 4}


def corpus(folder):
    """Questions of two intents; the last one of the test has another one."""
    (folder / "nlu_iob").mkdir(parents=True)
    for place, (split, count) in enumerate(COUNTS.items()):
        lines = []
        for number in range(count):
            intent = ("atis_flight", "atis_airfare")[number % 2]
            if (split, number) == ("test", 3):
                intent = "atis_meal"  # does not occur in training
            name = f"{split}{number}"
            write(folder / split / f"{name}.wav", number % 2, 10 * place + number)
            lines.append(f"{name} BOS to boston EOS\tO O B-to O {intent}\n")
        if split == "train":  # has no recording
            lines.append("absent BOS to boston EOS\tO O B-to O atis_flight\n")
        (folder / "nlu_iob" / f"iob.{split}").write_text("".join(lines))
    return {}
