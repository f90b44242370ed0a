"""The released records as pages that a browser opens from the disk: results, answers, curves."""
