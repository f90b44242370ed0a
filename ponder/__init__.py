"""The parts that collect.py, train.py and evaluate.py share. Flat: one noun per module; the order of operations is in the scripts."""
