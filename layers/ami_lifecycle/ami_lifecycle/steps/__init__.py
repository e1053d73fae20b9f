"""One module for each step of the build and each keeper around it: ports in, contracts out.

A step may run any number of times. It looks for what an earlier attempt made before it makes anything,
because an answer can be lost after its effect.
"""
