"""The attention decoder: its loss, its network, its search."""

import pytest
import torch

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.seq2seq import ConvSubsampler, Seq2SeqTransformer
from s3prl_sb.lobes.label_smoothing import sequence_cross_entropy, shifted
from s3prl_sb.lobes.seq2seq_decoding import BeamSearcher, CachedDecoder

SIZE, CLASSES, START, END = 6, 12, 2, 3
LENGTHS = (37, 5, 1, 64, 20, 33, 12, 48)


def network(**kwargs):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_heads": 4, "ffn_size": 16, "channels": 16}
    head = Seq2SeqTransformer(SIZE, CLASSES, **{**sizes, **kwargs}).eval()
    torch.nn.init.normal_(head.output.weight, std=1.0)  # decisive
    return head


def batch(seed=1):
    """Features of unequal lengths; in the padding there are large numbers."""
    torch.manual_seed(seed)
    utterances = [torch.randn(frames, SIZE) for frames in LENGTHS]
    features = torch.full((len(LENGTHS), max(LENGTHS), SIZE), 1e3)
    for row, utterance in zip(features, utterances):
        row[: len(utterance)] = utterance
    return features, torch.tensor(LENGTHS) / max(LENGTHS), utterances


def texts():
    """Texts of 1 to 8 tokens with an end, padded."""
    torch.manual_seed(2)
    counts = torch.arange(1, len(LENGTHS) + 1)
    tokens = torch.randint(END + 1, CLASSES, (len(LENGTHS), len(LENGTHS)))
    for row, count in zip(tokens, counts):
        row[count - 1], row[count:] = END, 0
    return tokens, counts / len(LENGTHS)


# --------------------------------------------------------------------------- loss
def test_smoothed_cross_entropy_of_torch_and_of_fairseq():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 7, CLASSES), torch.randint(CLASSES, (3, 7))
    targets[1, 4:] = targets[2, 1:] = -100
    true = targets != -100
    log_probs = logits.log_softmax(-1)[true]
    for smoothing in (0.0, 0.1, 0.5):
        # fairseq: the true token and the sum of all, which contains it, with weights
        share = smoothing / (CLASSES - 1)
        picked = -log_probs.gather(-1, targets[true][:, None]).sum()
        expected = (1 - smoothing - share) * picked - share * log_probs.sum()
        found = sequence_cross_entropy(logits, targets, smoothing)
        torch.testing.assert_close(found, expected / 3, rtol=1e-6, atol=1e-6)
        # torch: smoothing includes the true token
        plain = torch.nn.CrossEntropyLoss(
            label_smoothing=smoothing * CLASSES / (CLASSES - 1), reduction="sum"
        )
        expected = plain(logits[true], targets[true]) / 3
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_loss_of_an_utterance_does_not_depend_on_its_batch():
    head = network(num_sources=5)
    features, lens, utterances = batch()
    tokens, token_lens = texts()
    prefix, targets = shifted(tokens, token_lens, START)
    logits, sources, counts = head(features, lens, prefix)
    together = sequence_cross_entropy(logits, targets)
    alone = []
    for i, utterance in enumerate(utterances):
        n = i + 1
        own, own_sources, count = head(
            utterance[None], torch.ones(1), prefix[i : i + 1, :n]
        )
        torch.testing.assert_close(own[0], logits[i, :n], rtol=1e-4, atol=1e-5)
        assert count == counts[i] == own_sources.shape[1]
        expected = sources[i, : int(count)]
        torch.testing.assert_close(own_sources[0], expected, rtol=1e-4, atol=1e-5)
        alone.append(sequence_cross_entropy(own, targets[i : i + 1, :n]))
    torch.testing.assert_close(torch.stack(alone).mean(), together)


def test_nothing_in_the_padding_has_a_gradient():
    head = network().train()
    features, lens, _ = batch()
    features.requires_grad_()
    prefix, targets = shifted(*texts(), START)
    logits, _, _ = head(features, lens, prefix)
    sequence_cross_entropy(logits, targets).backward()
    for gradient, frames in zip(features.grad, LENGTHS):
        assert gradient[:frames].abs().sum() > 0
        assert not gradient[frames:].any()


def test_later_tokens_are_not_seen():
    head = network()
    features, lens, _ = batch()
    prefix, _ = shifted(*texts(), START)
    changed = prefix.clone()
    changed[:, 4:] = END + 1
    before, after = (head(features, lens, each)[0] for each in (prefix, changed))
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_convolutions_keep_one_frame_of_four():
    subsample = ConvSubsampler(SIZE, 8, channels=16)
    for frames, kept in ((1, 1), (2, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        x, counts = subsample(torch.randn(1, frames, SIZE), torch.tensor([frames]))
        assert x.shape == (1, kept, 8) and counts == kept
    with pytest.raises(HeadError, match="one number of each"):
        ConvSubsampler(SIZE, 8, kernel_sizes=[5], strides=[2, 2])
    with pytest.raises(HeadError, match="odd numbers"):
        ConvSubsampler(SIZE, 8, kernel_sizes=[4, 4])
    with pytest.raises(HeadError, match="strides: whole numbers from 1 on"):
        ConvSubsampler(SIZE, 8, strides=[2, 0])
    for sizes in ({"hidden_size": 10}, {"num_heads": 0}):
        with pytest.raises(HeadError, match="multiple of the number of heads"):
            network(**sizes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_masks_in_half_precision(dtype):
    """Nothing overflows, and padding has no weight."""
    head, (features, lens, utterances) = network(), batch()
    prefix, targets = shifted(*texts(), START)
    with torch.autocast("cpu", dtype):
        logits, _, _ = head(features, lens, prefix)
        alone, _, _ = head(utterances[2][None], torch.ones(1), prefix[2:3, :3])
        memory = head.encode(features, lens)
        found = BeamSearcher(head, START, END, 3, 6).search(*memory)
    assert logits.isfinite().all() and len(found) == len(LENGTHS)
    torch.testing.assert_close(logits[2, :3], alone[0], rtol=0.05, atol=0.05)
    exact = sequence_cross_entropy(head(features, lens, prefix)[0], targets)
    rounded = sequence_cross_entropy(logits, targets)
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.0)


# ------------------------------------------------------------------------- search
class Recomputing(BeamSearcher):
    """The search over a decoder that computes every prefix again, for each beam."""

    def search(self, memory, counts):
        self.done = [False] * len(memory)
        return self(memory, counts / memory.shape[1])[0]

    def reset_mem(self, batch_size, device):
        return torch.zeros(batch_size, 0, dtype=torch.long)

    def permute_mem(self, memory, index):
        return memory[index]

    def forward_step(self, inp_tokens, memory, enc_states, enc_lens):
        memory = torch.cat([memory, inp_tokens[:, None]], 1)
        logits = self.network.decode(memory, enc_states, enc_lens)[:, -1].clone()
        logits[:, [0, START]] = -torch.inf
        return logits.log_softmax(-1), memory, None


@pytest.mark.parametrize("beam", [1, 2, 5])
@torch.no_grad()
def test_search_with_a_cache_is_that_without(beam):
    head = network()
    encoded = head.encode(*batch()[:2])
    found, expected = (
        searcher(head, START, END, beam, 9).search(*encoded)
        for searcher in (BeamSearcher, Recomputing)
    )
    assert found == expected
    assert len({tuple(tokens) for tokens in found}) > 2  # not all alike
    assert max(map(len, found)) <= 9


@torch.no_grad()
def test_one_beam_takes_the_best_token():
    head = network()
    memory, counts = head.encode(*batch()[:2])
    found = BeamSearcher(head, START, END, 1, 7).search(memory, counts)
    for i, tokens in enumerate(found):
        prefix = [START]
        while len(prefix) <= 7:
            logits = head.decode(
                torch.tensor([prefix]), memory[i : i + 1], counts[i : i + 1]
            )
            logits[..., [0, START]] = -torch.inf
            best = int(logits[0, -1].argmax())
            if best == END:
                break
            prefix.append(best)
        assert tokens == prefix[1:]


@pytest.mark.parametrize("beam", [1, 4, 20])
@torch.no_grad()
def test_search_does_not_depend_on_the_batch(beam):
    """More beams than tokens are as many as there are."""
    head = network()
    features, lens, utterances = batch()
    searcher = BeamSearcher(head, START, END, beam, 12)
    together = searcher.search(*head.encode(features, lens))
    alone = [
        searcher.search(*head.encode(u[None], torch.ones(1)))[0] for u in utterances
    ]
    assert together == alone
    assert not {0, START, END} & {token for tokens in together for token in tokens}


class Memorized(torch.nn.Module):
    """A decoder that knows one text, but that smoothed labels let end anywhere."""

    num_classes = CLASSES
    text = [7, 8, 9, 5, 6, 7, 8, 9, 5, 6, END]

    def step(self, memory, tokens):
        probabilities = torch.full((len(tokens), CLASSES), 0.1 / (CLASSES - 1))
        for row, prefix in zip(probabilities, memory.tolist()):
            place = min(len(prefix) - 1, len(self.text) - 1)
            row[self.text[place]] = 0.9
            row[END] += 1e-4 * (self.text[place] != END)  # the next best
        return probabilities.log()


class OfMemorized(Recomputing):
    def forward_step(self, inp_tokens, memory, enc_states, enc_lens):
        memory = torch.cat([memory, inp_tokens[:, None]], 1)
        return self.network.step(memory, inp_tokens), memory, None


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_early_ends_do_not_use_up_the_beams(beam):
    """Texts that end too early are worse than the one that has not ended yet."""
    searcher = OfMemorized(Memorized(), START, END, beam, 30)
    (found,) = searcher.search(torch.zeros(1, 1, 1), torch.ones(1))
    assert found == Memorized.text[:-1]


@torch.no_grad()
def test_exhaustive_search():
    """With as many beams as tokens, short texts are all looked at."""
    head = network()
    memory, counts = head.encode(*batch()[:2])
    searcher = BeamSearcher(head, START, END, CLASSES, 1)
    found = searcher.search(memory, counts)
    for i, tokens in enumerate(found):
        one = memory[i : i + 1], counts[i : i + 1]
        first = head.decode(torch.tensor([[START]]), *one)[0, 0]
        first[[0, START]] = -torch.inf
        scores = {(): float(first.log_softmax(0)[END])}
        for token in {*range(CLASSES)} - {0, START, END}:
            then = head.decode(torch.tensor([[START, token]]), *one)[0, 1]
            then[[0, START]] = -torch.inf
            # The search ends after one token, whatever the second one is.
            both = first.log_softmax(0)[token] + then.log_softmax(0).max()
            scores[(token,)] = float(both) / 2
        assert tuple(tokens) == max(scores, key=scores.get)


@torch.no_grad()
def test_beams_of_an_utterance_share_its_frames():
    head = network()
    memory, counts = head.encode(*batch()[:2])
    beams, tokens = 3, torch.randint(END, CLASSES, (3 * len(LENGTHS), 5))
    decoder = CachedDecoder(head, memory, counts, beams)
    steps = torch.stack([decoder.step(column) for column in tokens.T], 1)
    repeated = memory.repeat_interleave(beams, 0), counts.repeat_interleave(beams)
    whole = head.decode(tokens, *repeated)
    torch.testing.assert_close(steps, whole, rtol=1e-4, atol=1e-5)
    keys, _ = decoder.of_frames[0]
    assert len(keys) == len(LENGTHS)  # not once for each beam
