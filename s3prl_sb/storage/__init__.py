"""Atomic files and folders, locks, checksums, downloads."""
