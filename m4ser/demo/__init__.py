"""A local page to try a trained model in the browser."""
