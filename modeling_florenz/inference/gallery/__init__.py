"""Pages that show pictures, what a model says of them, and where it looks while it writes each word."""
