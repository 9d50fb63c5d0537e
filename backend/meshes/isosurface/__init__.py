"""From values on a grid to the closed surface between inside and outside."""
