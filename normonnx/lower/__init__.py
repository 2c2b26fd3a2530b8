"""Lowering: where a model will run, which operators are there, and what to tell the session."""

from __future__ import annotations
