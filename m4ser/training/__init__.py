"""What stage 4 prepares for the trainer: the plan of an experiment, the lists of a run, the options of its task."""
