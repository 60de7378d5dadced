"""The library behind the workflow's commands.

It knows neither Snakemake nor any path of the project: the commands in ``workflow/scripts`` hand it
files and settings, and the rules in ``workflow/rules`` hand those to the commands.
"""
