"""Beam search over a decoder that attends to an encoded utterance.

The search is SpeechBrain's. Here the decoder computes one token at a time and keeps the
keys and values of earlier ones, so that a text of n tokens costs n steps of one token,
not of 1 to n; and the beams of an utterance share the keys and values of its frames.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from speechbrain.decoders.seq2seq import S2SBeamSearcher

from s3prl_sb.lobes.heads.seq2seq import padding_mask


class CachedDecoder:
    """Decoder of a :class:`~s3prl_sb.lobes.heads.seq2seq.Seq2SeqTransformer`, step by
    step.

    Arguments
    ---------
    head : Seq2SeqTransformer
        Network in evaluation mode.
    memory, counts
        Result of its ``encode``.
    beams : int
        Number of texts of each utterance.

    Example
    -------
    >>> from s3prl_sb.lobes.heads.seq2seq import Seq2SeqTransformer
    >>> head = Seq2SeqTransformer(24, 5, hidden_size=8, num_heads=2, ffn_size=8).eval()
    >>> memory = head.encode(torch.randn(1, 10, 24), torch.ones(1))
    >>> decoder = CachedDecoder(head, *memory)
    >>> steps = [decoder.step(torch.tensor([token])) for token in (1, 4)]
    >>> whole = head.decode(torch.tensor([[1, 4]]), *memory)
    >>> torch.allclose(torch.stack(steps, 1), whole, atol=1e-5)
    True
    """

    def __init__(self, head, memory, counts, beams=1):
        self.head, self.beams, self.position = head, beams, 0
        self.true = ~padding_mask(memory, counts)[:, None, None]
        # Keys and values, [batch, heads, positions, size of a head], of each layer.
        self.of_frames = []
        for layer in head.decoder.layers:
            _, weight, bias = _split(layer.multihead_attn.att)
            projected = F.linear(memory, weight, bias).chunk(2, -1)
            self.of_frames.append([self._heads(x) for x in projected])
        self.of_tokens = [None] * len(head.decoder.layers)

    def step(self, tokens):
        """Returns the logits after one more token.

        Arguments
        ---------
        tokens : torch.Tensor
            [batch * beams].

        Returns
        -------
        torch.Tensor
            [batch * beams, num_classes].
        """
        head = self.head
        x = head.with_positions(head.embedding(tokens[:, None]), self.position)
        for number, layer in enumerate(head.decoder.layers):
            x = x + self._among_tokens(number, layer.self_attn.att, layer.norm1(x))
            x = x + self._to_frames(number, layer.multihead_attn.att, layer.norm2(x))
            x = x + layer.pos_ffn(layer.norm3(x))
        self.position += 1
        return head.output(head.decoder.norm(x))[:, 0]

    def select(self, index):
        """Continues other texts.

        Arguments
        ---------
        index : torch.Tensor
            [batch * beams], the earlier text that each is the continuation of.
        """
        self.of_tokens = [
            [each.index_select(0, index) for each in pair] for pair in self.of_tokens
        ]

    def _heads(self, x):
        """Splits the last dimension into heads, before the positions."""
        return x.unflatten(-1, (self.head.num_heads, -1)).transpose(1, 2)

    def _among_tokens(self, number, attention, x):
        """Attends to the tokens until now; keeps keys and values of the last one."""
        projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, *new = [self._heads(each) for each in projected.chunk(3, -1)]
        kept = self.of_tokens[number]
        if kept is not None:
            new = [torch.cat(pair, 2) for pair in zip(kept, new)]
        self.of_tokens[number] = new
        found = F.scaled_dot_product_attention(query, *new)
        return attention.out_proj(found.transpose(1, 2).flatten(2))

    def _to_frames(self, number, attention, x):
        """Attends to the frames of the utterance, all of whose beams are queries."""
        query, _, _ = _split(attention)
        x = x.unflatten(0, (-1, self.beams)).squeeze(2)
        query = self._heads(F.linear(x, *query))
        keys, values = self.of_frames[number]
        found = F.scaled_dot_product_attention(query, keys, values, self.true)
        return attention.out_proj(found.transpose(1, 2).flatten(2)).flatten(0, 1)[
            :, None
        ]


def _split(attention):
    """Returns weight and bias of the queries, and those of the keys and values."""
    size = attention.embed_dim
    query, others = attention.in_proj_weight.split([size, 2 * size])
    query_bias, other_bias = attention.in_proj_bias.split([size, 2 * size])
    return (query, query_bias), others, other_bias


class BeamSearcher(S2SBeamSearcher):
    """SpeechBrain's beam search with a :class:`CachedDecoder`.

    The best text has the highest mean log-probability of its tokens. An utterance is
    done when the best texts that have ended, as many as there are beams, are all at
    least as good as any that has not. Nothing depends on the rest of the batch.

    Arguments
    ---------
    head : Seq2SeqTransformer
        Network in evaluation mode.
    start, end : int
        Indices of the tokens before and after a text.
    beam : int
        Number of beams; 1 is greedy decoding. At most the number of tokens.
    max_tokens : int
        Largest number of tokens of a text.
    never : tuple of int
        Tokens that no text has: padding.

    Note
    ----
    SpeechBrain and fairseq stop when as many texts as there are beams have ended,
    however bad these are. Smoothed labels give each token some probability anywhere,
    also the end: texts that end too early then use up the beams before the right one
    has ended.
    """

    def __init__(self, head, start, end, beam, max_tokens, never=(0,)):
        never = sorted({start, *never} - {end})
        super().__init__(
            bos_index=start,
            eos_index=end,
            min_decode_ratio=0.0,
            max_decode_ratio=1.0,
            beam_size=max(1, min(beam, head.num_classes - len(never))),
            using_eos_threshold=False,
        )
        self.network, self.max_tokens, self.never = head, max_tokens, never

    def search(self, memory, counts):
        """Returns the tokens of the best text of each utterance, without its end.

        Arguments
        ---------
        memory, counts
            Result of the head's ``encode``.

        Returns
        -------
        list of list of int
        """
        self.encoded, self.done = (memory, counts), [False] * len(memory)
        with torch.no_grad():
            # The decoder has the frames: the search only looks at batch and device.
            return self(memory[:, :1], torch.ones(len(memory), device=memory.device))[0]

    def set_n_out(self):
        """Returns the number of tokens."""
        return self.network.num_classes

    def change_max_decoding_length(self, min_decode_steps, max_decode_steps):
        """Returns the smallest and the largest number of steps, whatever the audio."""
        return 0, self.max_tokens + 1  # and the end

    def reset_mem(self, batch_size, device):
        """Returns a decoder without tokens."""
        return CachedDecoder(self.network, *self.encoded, self.beam_size)

    def _check_full_beams(self, hyps):
        """Returns whether all utterances are done."""
        return all(self.done)

    def _update_hyps_and_scores_if_eos_token(
        self, inp_tokens, alived_hyps, eos_hyps_and_log_probs_scores, scores
    ):
        """Keeps the best of the texts that have ended; returns which end now."""
        is_end = inp_tokens.eq(self.eos_index)
        running = scores.masked_fill(is_end, -torch.inf).view(-1, self.beam_size)
        best_running = running.amax(1).tolist()
        for index in is_end.nonzero()[:, 0].tolist():
            number = index // self.beam_size
            if not self.done[number]:
                text, log_probs, _ = alived_hyps[index]
                ended = eos_hyps_and_log_probs_scores[number]
                ended.append((text, log_probs, scores[index]))
                ended.sort(key=lambda each: -float(each[2]))
                del ended[self.beam_size :]
        for number, ended in enumerate(eos_hyps_and_log_probs_scores):
            if len(ended) == self.beam_size:
                worst = float(ended[-1][2])
                self.done[number] |= worst >= best_running[number]
        return is_end

    def forward_step(self, inp_tokens, memory, enc_states, enc_lens):
        """Returns log-probabilities, the decoder, and no attention."""
        logits = memory.step(inp_tokens).float()
        logits[:, self.never] = -torch.inf
        return logits.log_softmax(-1), memory, None

    def permute_mem(self, memory, index):
        """Returns the decoder, which continues other texts."""
        memory.select(index)
        return memory
