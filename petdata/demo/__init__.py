"""The offline demo: drawn pets, and the servers that it and the tests use."""
