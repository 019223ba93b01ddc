"""What every room uses: command line, errors, files, progress, provenance. Knows nothing of speech or emotion."""
