"""Generated C against its peers: speed, and distance from exact arithmetic."""
