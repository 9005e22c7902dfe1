"""Files that appear whole or not at all, locks, checksums, downloads."""
