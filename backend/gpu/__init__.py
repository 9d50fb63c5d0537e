"""What the device is and can do."""
