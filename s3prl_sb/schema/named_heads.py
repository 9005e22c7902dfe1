"""Heads by name (stand-in).

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.schema.declarations import KeysError

HEADS = "s3prl_sb.lobes.heads"
UTTERANCE = dict.fromkeys(
    ("linear", "mlp", "rnn"), f"{HEADS}.utterance.UtteranceClassifier"
)
UTTERANCE.update(dict.fromkeys(("xvector", "ecapa"), f"{HEADS}.xvector.XVector"))
FRAMES = dict.fromkeys(("linear", "mlp", "rnn"), f"{HEADS}.frames.FrameClassifier")


def named_heads() -> dict:
    """Returns the names of heads."""
    return {**UTTERANCE, **FRAMES}


def node(name: str, labels: str) -> tuple[str, dict]:
    """Returns class and arguments of a named head."""
    fits = {"classes": UTTERANCE, "tokens": FRAMES, "segments": FRAMES}.get(labels, {})
    if name not in named_heads():
        raise KeysError(f"there is no head '{name}': {', '.join(named_heads())}")
    if name not in fits:
        raise KeysError(f"{name} does not fit: {', '.join(fits)} do.")
    return fits[name], {}
