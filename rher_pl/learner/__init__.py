"""TD3: losses, updates and the engines that compute them."""
