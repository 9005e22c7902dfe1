"""Files for SUPERB's leaderboard, from finished runs."""
