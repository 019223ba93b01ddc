"""What is written down of a trained model beside its weights: ``run.json`` of its experiment."""

PLAN = "run.json"
