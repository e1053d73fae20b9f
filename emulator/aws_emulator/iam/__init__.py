"""Permissions: every call of a role of the stack is held against that role's policies.

`policies` and `conditions` evaluate policy documents. The modules `*_calls` know which actions a call
needs, on which resources and with which condition keys (service authorization reference). `account` finds
the policies, tags and keys that the evaluation needs, and `enforcement` refuses what is not allowed.
"""
