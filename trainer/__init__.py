"""Dataset ID -> checkpoint: everything that runs a network."""
