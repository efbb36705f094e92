"""A study for others: its archive, that archive's metadata, a leaderboard's file."""
