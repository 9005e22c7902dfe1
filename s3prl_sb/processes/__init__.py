"""Child processes, locks on the folders of a run, Ctrl-C."""
