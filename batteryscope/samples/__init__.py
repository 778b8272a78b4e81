"""What is looked at: pictures of powders, slices of scanned cells, coatings, rows of a table."""
