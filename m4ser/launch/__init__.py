"""Launchers: run a command, or many numbered copies of it, on this machine or on a Slurm cluster.

Both have the same command line, write the same logs and report a failure in the same way::

    m4ser-local [options] [JOB=1:NJ] LOGFILE COMMAND...
    m4ser-slurm [options] [JOB=1:NJ] LOGFILE COMMAND...

``JOB`` in LOGFILE and COMMAND becomes the number of the job.
"""
