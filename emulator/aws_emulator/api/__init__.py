"""API calls: operations, errors, paging, and disruptions."""
