"""`florenz-tiny`: how it is trained, measured and described."""
