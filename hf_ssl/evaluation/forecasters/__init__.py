"""Forecasts without the network: what a user could have had instead, and what a run's answer is mixed from. One file adds one."""
