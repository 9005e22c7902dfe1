"""Loggers of other programs, by the key ``logger`` of any recipe."""

#: Results do not depend on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
