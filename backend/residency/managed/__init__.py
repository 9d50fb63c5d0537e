"""Programs of others, hosted: one interface, in this process or in one of its own."""
