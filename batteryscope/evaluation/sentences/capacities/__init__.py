"""Sentences about studies of capacities: a template ``<kind>.j2`` for every kind of finding."""

from pathlib import Path

from batteryscope.core.finding import Sentences

# What both kinds of numbers share stands in a folder of its own.
SENTENCES = Sentences(Path(__file__).parent, Path(__file__).parents[1] / "numbers")
