"""Prediction of recordings with a trained model. Nothing in here needs what trains one."""
