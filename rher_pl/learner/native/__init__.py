"""TD3 updates in C++ on a CPU: gradients in float32 or bfloat16, and steps of weights."""
