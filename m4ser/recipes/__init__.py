"""What the author of a recipe uses: from a corpus in its official layout to data directories and folds."""
