"""What to change for faster jobs: rules over measured evidence, each with what it would save."""
