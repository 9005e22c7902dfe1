"""Child processes, the folder that a run occupies, Ctrl-C."""
