"""Trained models as things to keep and pass on: archives, cards, the model hub."""
