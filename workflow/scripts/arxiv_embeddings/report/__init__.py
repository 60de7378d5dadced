"""What people read: figures, HTML tables, and the interactive page of the map."""
