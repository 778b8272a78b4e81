"""The command ``batteryscope``: each of its words hands over to a program of the workflow."""
