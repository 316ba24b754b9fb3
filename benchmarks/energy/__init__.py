"""Energy per inference: windows of power, idle subtracted, subjects taking turns."""
