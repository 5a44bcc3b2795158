"""What a network that has seen a million photographs sees in a picture: features, distances and likenesses, without a download.

The weights come with a plain dependency (``weights.py``); they are read like any model file and nothing of the package is run.
"""
