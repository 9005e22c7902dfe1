"""What people see while something runs: columns, messages, progress, logs."""
