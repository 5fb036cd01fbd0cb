"""Other people's servers, and what asks all of them: see `benchmarks.serving_peers`."""
