"""From a corpus to sampled papers: packed files as lines, formats, filtering, sampling."""
