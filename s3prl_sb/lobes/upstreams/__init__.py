"""Upstreams: self-supervised speech models, by the names of their cards.

A card is an entry of a YAML file that builds a module::

    hubert_base: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
        source: https://…/hubert_base_ls960.pt

The published cards are in ``hparams/upstreams``; a user-defined card is a file of the
same form. It is data, unless it is trusted: see :mod:`s3prl_sb.foreign.trust`.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.cards.finding import UnknownUpstream, card_file, names, title
from s3prl_sb.lobes.cards.loading import card, load

__all__ = ["UnknownUpstream", "card", "card_file", "load", "names", "title"]
