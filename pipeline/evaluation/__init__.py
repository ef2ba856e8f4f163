"""Evaluation of trained models: the test pass, confidence intervals, comparison of trainings, figures."""
