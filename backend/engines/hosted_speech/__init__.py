"""What our side puts into the processes of speech programs; its folder goes on their path."""
