"""Fusions: from encoder states of speech and text to :class:`~m4ser.models.representations.Representations`."""
