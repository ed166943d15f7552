"""Systems of states and flows, and what is checked of them."""
