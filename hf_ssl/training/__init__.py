"""The loop: transformers' Trainer on Accelerate, with the schedule, callbacks and loss module of continued training."""
