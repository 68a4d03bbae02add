"""Everything MLflow."""
