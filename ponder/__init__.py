"""The parts that collect.py, train.py and evaluate.py share: flat, one noun per module. The order of work is in the scripts."""
