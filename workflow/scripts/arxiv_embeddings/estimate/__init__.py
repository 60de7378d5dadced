"""What embedding a sample will cost, before it is embedded."""
