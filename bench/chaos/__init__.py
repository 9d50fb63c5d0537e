"""Kills processes of a real server at random, and checks that its promises hold."""
