"""Cards of the published upstreams (installed as s3prl_sb.hparams)."""
