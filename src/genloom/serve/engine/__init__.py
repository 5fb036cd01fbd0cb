"""The engine of the server: worker processes that sample in batches, and their pool."""
