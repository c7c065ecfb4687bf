"""What training costs, measured side by side with the peers: `python -m benchmarks.step_time`."""
