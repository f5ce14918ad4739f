"""The suite's own parts are tested with pytest running pytest."""

pytest_plugins = ["pytester"]
