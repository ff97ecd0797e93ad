"""What a pass keeps of every cell, in memory and in state files, and how states are joined."""
