"""Environments: natively batched TorchRL environments over MuJoCo."""
