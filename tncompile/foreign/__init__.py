"""Chips of other tools: their networks and spike files, read and written."""
