"""The model server: a second, independent implementation of SPEC.md, with faults to be switched on.

It shares no code with the suite (chatcheck) nor with the reference server, so an error has to be made twice
to go unnoticed. It is written to be read, not to be fast. Where to start: server.py, then requests.py,
then faults.py.
"""
