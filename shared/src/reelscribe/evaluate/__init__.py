"""How good a movie directory is, measured against references: `python -m reelscribe.evaluate`, in the core environment.

What each number means is in docs/quality.md; __main__.py has the command line.
"""
