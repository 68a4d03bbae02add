"""Ray: a cluster is joined or started, and its machines are checked before use."""
