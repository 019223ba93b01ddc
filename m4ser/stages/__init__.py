"""What run.sh asks Python: names of folders and tags, what a configuration needs, whether a step has work to do."""
