"""First on PYTHONPATH it hides pandas, which pyarrow would import at half of a short run's cost."""

raise ModuleNotFoundError("no module named 'pandas'", name="pandas")
