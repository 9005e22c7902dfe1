"""Entry points of ``torch.hub``: one for each upstream.

``torch.hub.list`` lists them, ``torch.hub.help`` prints the arguments of one.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.cards.hub import entries as _entries

dependencies = ["torch", "torchaudio", "numpy", "hyperpyyaml", "safetensors"]
dependencies += ["tqdm", "speechbrain"]

globals().update(_entries())
