"""S3PRL's ``run_downstream.py``, whole, in S3PRL's own environment.

    python peer_program.py CHECKOUT -m train -d speech_commands -u fbank_no_cmvn …

CHECKOUT is a clone of S3PRL's repository at its release 0.4.18: the package from
the registry lacks the configurations. Two things are added around the program,
none changes a number: peer_stand_ins.py, and a memory of what the frozen
upstream gave for a waveform, as it is asked for the same ones in every epoch.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import runpy
import sys

import peer_stand_ins  # noqa: F401
import torch
from torch.nn.utils.rnn import pad_sequence


class Remembering(torch.nn.Module):
    """A frozen upstream that computes each waveform once, alone.

    Only for upstreams whose features of an utterance do not depend on the
    batch, as S3PRL's acoustic features.
    """

    def __init__(self, upstream):
        super().__init__()
        self.upstream, self.known = upstream, {}

    def get_downsample_rates(self, key):
        """Samples a frame."""
        return self.upstream.get_downsample_rates(key)

    def states(self, wav):
        """Hidden states of one waveform."""
        key = hashlib.sha1(wav.numpy().tobytes()).digest()
        if key not in self.known:
            with torch.no_grad():
                states = self.upstream([wav])["hidden_states"]
            self.known[key] = [state[0] for state in states]
        return self.known[key]

    def forward(self, wavs):
        """As the upstream: hidden states of a padded batch."""
        layers = zip(*(self.states(wav) for wav in wavs))
        return {"hidden_states": [pad_sequence(x, batch_first=True) for x in layers]}


def main():
    checkout = sys.argv.pop(1)
    sys.path.insert(0, checkout)
    from s3prl.downstream.runner import Runner

    build = Runner._get_upstream

    def remembering(self):
        entry = build(self)
        entry.model = Remembering(entry.model)
        return entry

    Runner._get_upstream = remembering
    runpy.run_module("s3prl.run_downstream", run_name="__main__")


if __name__ == "__main__":
    main()
