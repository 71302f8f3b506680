"""Reports for people: ``summarize`` computes every value, ``render`` turns the values into one HTML file."""
