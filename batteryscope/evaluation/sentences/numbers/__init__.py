"""Sentences about studies of numbers: a template ``<kind>.j2`` for every kind of finding."""

from pathlib import Path

from batteryscope.core.finding import Sentences

SENTENCES = Sentences(Path(__file__).parent)
