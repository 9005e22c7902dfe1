"""Entry points of ``torch.hub``: every upstream by its name, in a checkout.

``torch.hub.list`` names them, ``torch.hub.help`` says what each takes.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.cards.hub import entries as _entries

dependencies = ["torch", "torchaudio", "numpy", "hyperpyyaml", "safetensors"]
dependencies += ["tqdm", "speechbrain"]

globals().update(_entries())
