"""What was measured, in the formats of other tools."""
