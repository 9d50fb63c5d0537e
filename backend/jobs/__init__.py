"""Jobs: the store that is the truth, the events, the files, the workers."""
