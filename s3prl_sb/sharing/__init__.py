"""Sharing of what was trained: model cards, and exports on the Hugging Face hub.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.sharing.pushing import push

__all__ = ["push"]
