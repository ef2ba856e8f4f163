"""What a trained model is worth: the test pass, intervals, verdicts, figures."""
