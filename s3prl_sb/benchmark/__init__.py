"""The tasks of SUPERB and SUPERB-SG for any upstreams: planned, run, in a table."""
