"""Helpers that every package uses: errors, files, matrices, progress, versions. It imports no other package."""
