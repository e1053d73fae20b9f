"""What an API call is: requests, answers, errors, pages, and what can happen to a call instead."""
