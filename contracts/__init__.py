"""Example contracts, one a folder, with the tests an author would write."""
