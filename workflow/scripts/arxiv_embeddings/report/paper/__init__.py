"""What a paper takes over: LaTeX tables, a text on the methods, and the references."""
