"""Readers of data sets' files, one module a family of formats."""
