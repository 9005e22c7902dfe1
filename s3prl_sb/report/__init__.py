"""One page about runs: their table, charts, examples and differences.

Modules
 * :mod:`blocks`: what a page is made of, as HTML
 * :mod:`escaping`: what texts go through before they are HTML
 * :mod:`gathered`: the runs of a page, and their files
 * :mod:`charts`: palette and size of charts
 * :mod:`contents`: which sections a page has
"""
