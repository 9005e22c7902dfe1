"""A tiny objective and tones without files: parts of a pre-training to test a Brain."""

from types import SimpleNamespace

import numpy
import torch

from s3prl_sb.objectives.base import Objective, Outcome, Picture

RATE, ROWS = 16000, 12


class Masked(Objective):
    """Predicts frames that were set to zero, with dropout before the head."""

    def __init__(self, network, share=0.3, alarm=False, unused=False, held_out=1):
        super().__init__(network)
        self.share, self.alarm = share, alarm
        self.held_out = float(held_out)  # factor of the loss in evaluation
        self.head = torch.nn.Linear(network.output_size, network.local_size)
        self.never_used = torch.nn.Linear(2, 2) if unused else None
        self.steps = []

    def set_step(self, step, total):
        self.steps.append((step, total))

    def _parts(self, wavs, draws):
        target, frames = self.network.local(wavs)
        masked = torch.cat(
            [
                torch.as_tensor(draws.of(i, "mask").random(n) < self.share)
                for i, n in enumerate(frames)
            ]
        ).to(target.device)
        altered = target * ~masked[:, None]
        *_, state = self.network.contextualize(self.network.embed(altered), frames)
        state = torch.nn.functional.dropout(state, 0.2, self.training)
        return target, altered, masked, self.head(state)

    def forward(self, wavs, draws, codes=None):
        target, _, masked, predicted = self._parts(wavs, draws)
        loss = (target - predicted)[masked].abs().sum()
        loss = loss * (1 if self.training else self.held_out)
        chance = (target - target.mean(0))[masked].abs().sum()
        count = masked.sum() * target.shape[1]
        return Outcome(loss, count, {"chance": chance.detach()})

    def measures(self, sums):
        return {
            **super().measures(sums),
            "chance": float(sums["chance"] / sums["count"]),
        }

    def alarms(self, measures):
        return ["Every code is the same: lower lr."] if self.alarm else []

    def picture(self, wav, draws):
        target, altered, _, predicted = self._parts([wav], draws)
        return Picture(target, altered, predicted)


class Batch:
    """The fields of a WaveBatch."""

    def __init__(self, items):
        self.wavs = [wav for _, _, wav in items]
        self.rows = [row for row, _, _ in items]
        self.epochs = [epoch for _, epoch, _ in items]
        self.id = [f"tone{row}" for row in self.rows]
        self.codes = None
        self.failed = [("bad.wav", "it is empty")] if 3 in self.rows else []
        self.seconds = sum(len(wav) for wav in self.wavs) / RATE

    def to(self, device):
        self.wavs = [wav.to(device) for wav in self.wavs]
        return self

    def __len__(self):
        return len(self.wavs)


class Tones(torch.utils.data.Dataset):
    """Tones of unequal lengths."""

    seconds, sample_rate, index = ROWS, RATE, SimpleNamespace(shares=None)
    codes = None
    lengths = 3000 + 400 * numpy.arange(ROWS)

    def __init__(self, first=0):
        self.first, self.digest = first, f"tones from {first}"

    def __len__(self):
        return ROWS

    def __getitem__(self, key):
        row, epoch = key
        time = torch.arange(int(self.lengths[row])) / RATE
        return (
            row,
            epoch,
            torch.sin(2 * torch.pi * (200 + 30 * (self.first + row)) * time),
        )

    def collate(self, items):
        return Batch(items)
