"""mlq API: HTTP routes, event streams and model serving."""
