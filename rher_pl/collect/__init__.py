"""Who acts while episodes are collected, and the collectors."""
