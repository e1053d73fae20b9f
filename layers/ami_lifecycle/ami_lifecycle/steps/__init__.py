"""One module for each Lambda function (the steps of a build, its clean-up, the sweep), and what they share.

A step may run any number of times. Before it creates anything it looks for what an earlier attempt created: a call
can take effect although its response is lost.
"""
