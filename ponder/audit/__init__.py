"""The audit of everything that is released: plain checks over files and git.

It imports no torch and asks no network. Read checks.py, records.py, claims.py, answers.py and
ties.py first: they decide whether a published number can be believed. A check returns what it
looked at, in words, and its problems, a sentence each.
"""
