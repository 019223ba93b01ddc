"""What the scripts of egs/ ask Python: options, names and folders, what a configuration needs, markers of steps.

A recipe's ``run.sh`` asks once, at its start, and gets a :class:`~m4ser.stages.plan.Plan`; each step that has work to
do asks again when it begins and when it is complete. None of this loads torch, ESPnet or numpy: a run whose stages are
all done costs one short process.
"""
