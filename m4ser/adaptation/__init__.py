"""Adaptation with few examples: a model's last layer, fitted again to recordings and labels of one's own.

Begin reading at :mod:`.adapt`. Nothing here trains an encoder; training from a model is ``run.sh --init-exp``.
"""
