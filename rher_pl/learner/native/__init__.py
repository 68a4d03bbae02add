"""TD3 in C++ on a CPU, in float32 or bfloat16: many updates in one call."""
