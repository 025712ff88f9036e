"""Readers and writers, one module a container; :func:`open` tells containers by first bytes."""

from __future__ import annotations
