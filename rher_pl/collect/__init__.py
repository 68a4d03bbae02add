"""The behavior policy, which acts while episodes are collected, and the collectors."""
