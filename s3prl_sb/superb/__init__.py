"""The ten tasks of SUPERB for any upstreams: planned, run, put into a table."""
