"""Speech and text encoders behind ESPnet's ``AbsEncoder``: (B, T, ...), lengths -> (B, T', D), lengths', None."""
