"""Reports as one HTML file that needs nothing else: no network, no server, no other file.

A report is data: a `Page` of `Section`s of blocks (`blocks`). Each verb makes its own from what it
found (`rewriting`, `accuracy`, ...); `page.render` makes HTML of any. A new kind of report makes
sections of the blocks that there are and adds no HTML.
"""
