"""Batteryscope: learn the state of a battery from pictures of it."""

__version__ = "0.1.0"
