"""The report: one HTML page that needs nothing but itself, for looking at rather than reading."""
