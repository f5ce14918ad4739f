"""Reports of a run: the data (model.py), and files made of it."""
