"""Engines that run jobs: this machine, a Slurm cluster, a Ray cluster."""

#: Results do not depend on this package, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
