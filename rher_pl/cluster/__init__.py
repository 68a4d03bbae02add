"""Ray: joined or started, and its machines looked at before they are trusted."""
