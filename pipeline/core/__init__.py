"""Shared by all stages, without domain knowledge: command line, params, errors, atomic files, caches."""
