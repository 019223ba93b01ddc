"""Systems that are not a :class:`~m4ser.models.model.SERModel` but run on the same data, folds, features and scorer.

A training configuration names one by its key ``task``. To the recipe they all look like a speech-only model: their
arguments have ``fusion: speech`` and ``speech_encoder``, ``main(cmd=...)`` trains, and the model built by
``build_model`` has ``represent`` and ``logits``, so that inference needs to know nothing of them.
"""
