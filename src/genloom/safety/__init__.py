"""Filters and provenance: what may enter and leave, and the marks on what leaves."""
