"""Relay Hindsight Experience Replay as a modular PyTorch Lightning trainer.

Importing the package is cheap on purpose: heavy libraries are imported where they are used.
"""

__version__ = "0.1.0"
