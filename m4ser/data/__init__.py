"""Data directories: read, write, validate; folds; audio; feature files; corpus preparation."""
