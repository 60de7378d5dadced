"""From a corpus to drawn papers: packed files read as lines, corpus formats, filtering and sampling."""
