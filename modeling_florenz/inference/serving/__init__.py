"""Serve a model over HTTP: `florenz serve`."""
