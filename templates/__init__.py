"""Templates of `s3prl-sb new` (installed as s3prl_sb.templates)."""
