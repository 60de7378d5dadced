"""What people look at: figures, pages, and the page to explore."""
