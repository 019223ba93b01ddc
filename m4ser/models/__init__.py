"""The model in plain torch: encoders, fusions, objectives, and how a configuration becomes one of them."""
