"""What every stage needs and no domain knows: command line, params, errors, atomic files, caches."""
