"""Pictures of the results, as a paper could print them."""
