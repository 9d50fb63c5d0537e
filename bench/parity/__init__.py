"""Do our networks compute what the published ones did? Checks folders of recorded tensors."""
