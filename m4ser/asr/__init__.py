"""Speech recognition: decoding, text normalisation, word errors and the edits that repair them."""
