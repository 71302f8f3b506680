"""From image files to vectors."""
