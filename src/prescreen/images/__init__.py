"""Pixels, faces and views: everything about one picture that needs no network."""
