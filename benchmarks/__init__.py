"""What training costs, measured side by side with its peers: `python -m benchmarks.step_time`."""
