"""What a function and its derivatives cost: counts read off the graph, as frozen records."""
