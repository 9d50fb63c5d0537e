"""Which model lives where: disk, host memory or GPU."""
