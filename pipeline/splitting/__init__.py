"""Which chips learn, which validate, which test."""
