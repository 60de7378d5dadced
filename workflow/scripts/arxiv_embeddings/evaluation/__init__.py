"""How well vectors recover the categories of their papers: clusterings, trees, the space, maps, and their scores."""
