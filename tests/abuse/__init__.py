"""chatd under abuse: what others feel of it, and what it costs. run.py says how a run goes."""
