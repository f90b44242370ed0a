"""What collect.py, train.py and evaluate.py share: a package per stage, a module per noun."""
